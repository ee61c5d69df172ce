# Completion of pg-theano in bash, as `pg-theano completion bash` prints it.

__pg_theano_offer() { # of the words after the first, those that begin with it
    local start=$1 word
    shift
    for word in "$@"; do [[ $word == "$start"* ]] && COMPREPLY+=("$word "); done
}

__pg_theano_knob() { # $1 as far as the next dot; $2 follows a whole one
    local cur=$1 end=$2 key rest last='' values=''
    if [[ $cur == *=* ]]; then
        key=${cur%%=*}
        case $key in
@VALUES@
        esac
        for rest in $values; do __pg_theano_offer "$cur" "$key=$rest"; done
        return
    fi
    for key in $knobs; do
        [[ $key == "$cur"* ]] || continue
        rest=${key#"$cur"}
        if [[ $rest == *.* ]]; then rest=$cur${rest%%.*}.; else rest=$key$end; fi
        [[ $rest == "$last" ]] || COMPREPLY+=("$rest")
        last=$rest
    done
}

__pg_theano_path() { # $1: run, config, folder or file; $2: how it begins
    local kind=$1 cur=$2 path whole quoted
    while IFS= read -r path; do
        [[ ${path##*/} == .* && ${cur##*/} != .* ]] && continue
        whole=${path/#\~/$HOME}
        printf -v quoted %q "$path"
        quoted=${quoted/#\\~/\~}
        if [[ $kind == run && (-e $whole/config.yaml || -e $whole/seeds.yaml || -e $whole/search.yaml) ]]; then
            COMPREPLY+=("$quoted ")
        elif [[ -d $whole ]]; then
            COMPREPLY+=("$quoted/")
        elif [[ $kind == file || $kind == config && ($whole == *.yaml || $whole == *.yml) ]]; then
            COMPREPLY+=("$quoted ")
        fi
    done < <(compgen -f -- "$cur")
}

_pg_theano() {
    local line=${COMP_LINE:0:COMP_POINT} cur='' prefix='' previous='' command='' options='' takes='' breaks='' stem='' word
    local knobs='@KNOBS@'
    local -a words
    COMPREPLY=()
    line=${line//'\ '/$'\a'}
    read -ra words <<<"$line"
    while ((${#words[@]} > 1)) && [[ ${words[0]} != "${COMP_WORDS[0]}" ]]; do words=("${words[@]:1}"); done
    if [[ $line != *[[:space:]] ]]; then
        cur=${words[${#words[@]} - 1]}
        unset "words[${#words[@]}-1]"
    fi
    for word in "${words[@]:1}"; do
        [[ $command || $word == -* ]] || command=${word//-/_}
        previous=$word
    done
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'
    [[ $breaks ]] && stem=${cur%"${cur##*[$breaks]}"}
    if [[ $cur == --*=* ]]; then
        previous=${cur%%=*} prefix=$previous= cur=${cur#*=}
    fi
    cur=${cur//$'\a'/ }
    [[ $command == search ]] && knobs+=' @SEARCHED@'
    case $command:$previous in
@TAKES@
    esac
    case $command in
@OPTIONS@
    esac
    if [[ -z $command ]]; then
        __pg_theano_offer "$cur" @COMMANDS@ -h --help --version
    elif [[ -z $takes && $cur == -* ]]; then
        __pg_theano_offer "$cur" $options
    elif [[ -z $takes ]]; then
        case $command in
@OPERANDS@
        esac
    fi
    for word in $takes; do
        case $word in
        knob) __pg_theano_knob "$cur" '=' ;;
        name) __pg_theano_knob "$cur" '' ;;
        =*) __pg_theano_offer "$cur" "${word#=}" ;;
        nothing) ;;
        run)
            [[ -z $cur && -d runs ]] && __pg_theano_path run runs/
            ((${#COMPREPLY[@]})) || __pg_theano_path run "$cur"
            ;;
        *) __pg_theano_path "$word" "$cur" ;;
        esac
    done
    ((${#COMPREPLY[@]})) || return 0
    COMPREPLY=("${COMPREPLY[@]/#/$prefix}")
    COMPREPLY=("${COMPREPLY[@]#"$stem"}")
}

complete -o nospace -F _pg_theano pg-theano
