# Completion of pg-theano in fish, as `pg-theano completion fish` prints it.

function __pg_theano_knob -a cur end # as far as the next dot; `end` follows a whole one; then names and meanings
    set -l rows $argv[3..]
    set -l values
    set -l last
    if string match -q '*=*' -- $cur
        set -l key (string split -m1 = -- $cur)[1]
        switch $key
@VALUES@
        end
        for one in $values
            echo $key=$one
        end
        return
    end
    for at in (seq 1 2 (count $rows))
        set -l rest (string replace -- "$cur" '' $rows[$at])
        string match -q -- "$cur*" $rows[$at]; or continue
        if string match -q '*.*' -- $rest
            set rest $cur(string split -m1 . -- $rest)[1].
            test "$rest" = "$last"; or echo $rest
            set last $rest
        else
            printf '%s\t%s\n' $rows[$at]$end $rows[(math $at + 1)]
        end
    end
end

function __pg_theano_path -a kind cur
    for path in (__fish_complete_path $cur | string replace -r '\t.*' '')
        set -l whole (string replace -r '^~' $HOME -- (string trim -r -c / -- $path))
        if test $kind = run; and test -e $whole/config.yaml -o -e $whole/seeds.yaml -o -e $whole/search.yaml
            string trim -r -c / -- $path
        else if test -d $whole -o $kind = file
            echo $path
        else if test $kind = config; and string match -qr '\.ya?ml$' -- $path
            echo $path
        end
    end
end

function __pg_theano
    set -l words (commandline -opc)
    set -l cur (commandline -ct)
    set -l previous $words[-1]
    set -l command
    set -l takes
    set -l options
    set -l prefix
    for word in $words[2..]
        test -n "$command"; or string match -q -- '-*' $word; or set command (string replace -a -- - _ $word)
    end
    set -l knobs @KNOBS@
    test "$command" = search; and set -a knobs @SEARCHED@
    if string match -q -- '--*=*' $cur
        set previous (string split -m1 = -- $cur)[1]
        set cur (string split -m1 = -- $cur)[2]
        set prefix $previous=
    end
    switch "$command:$previous"
@TAKES@
    end
    switch "$command"
@OPTIONS@
    end
    if test -z "$command"
        printf '%s\t%s\n' @COMMANDS@
    else if test -z "$takes"; and string match -q -- '-*' $cur
        printf '%s\t%s\n' $options
    else if test -z "$takes"
        switch $command
@OPERANDS@
        end
    end
    for word in $takes
        switch $word
            case knob
                __pg_theano_knob "$cur" = $knobs
            case name
                __pg_theano_knob "$cur" '' $knobs
            case '=*'
                string replace = '' $word
            case run
                set -l found
                test -z "$cur" -a -d runs; and set found (__pg_theano_path run runs/)
                test -n "$found"; or set found (__pg_theano_path run "$cur")
                printf '%s\n' $found
            case nothing
            case '*'
                __pg_theano_path $word "$cur"
        end
    end | string replace -r -- '^' "$prefix"
end

complete -c pg-theano -f -a '(__pg_theano)'
