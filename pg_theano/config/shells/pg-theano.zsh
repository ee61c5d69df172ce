#compdef pg-theano
# Completion of pg-theano in zsh, as `pg-theano completion zsh` prints it.

__pg_theano_knob() { # as far as the next dot; $1 follows a whole one
    local one key values
    local -aU found
    if [[ $PREFIX == *=* ]]; then
        key=${PREFIX%%=*}
        case $key in
@VALUES@
        esac
        compset -P '*='
        compadd -- ${=values}
        return
    fi
    for one in $knobs; do
        key=${one%%:*}
        [[ $key == $PREFIX* ]] || continue
        if [[ ${key#$PREFIX} == *.* ]]; then
            found+=("$PREFIX${${key#$PREFIX}%%.*}.")
        else
            found+=("$key$1:${one#*:}")
        fi
    done
    _describe -t knobs knob found -S ''
}

_pg_theano() {
    local command previous=${words[CURRENT-1]} takes word none=1
    local -a options knobs found
    for word in ${words[2,CURRENT-1]}; do
        [[ -n $command || $word == -* ]] || command=${word//-/_}
    done
    knobs=(@KNOBS@)
    [[ $command == search ]] && knobs+=(@SEARCHED@)
    if [[ $PREFIX == --*=* ]]; then
        previous=${PREFIX%%=*}
        compset -P '*='
    fi
    case $command:$previous in
@TAKES@
    esac
    case $command in
@OPTIONS@
    esac
    if [[ -z $command ]]; then
        found=(@COMMANDS@)
        _describe -t commands command found
        return
    elif [[ -z $takes && $PREFIX == -* ]]; then
        _describe -o option options
        return
    elif [[ -z $takes ]]; then
        case $command in
@OPERANDS@
        esac
    fi
    for word in ${=takes}; do
        case $word in
        knob) __pg_theano_knob = && none=0 ;;
        name) __pg_theano_knob '' && none=0 ;;
        '='*) compadd -- ${word#=} && none=0 ;;
        run)
            found=()
            [[ -n $PREFIX ]] || found=(runs/*(N/e:'[[ -e $REPLY/config.yaml || -e $REPLY/seeds.yaml || -e $REPLY/search.yaml ]]':))
            if (($#found)); then compadd -f -a found; else _files -/; fi && none=0
            ;;
        config) _files -g '*.(yaml|yml)' && none=0 ;;
        folder) _files -/ && none=0 ;;
        file) _files && none=0 ;;
        esac
    done
    return none
}

if [[ $funcstack[1] == _pg_theano || $funcstack[1] == _pg-theano ]]; then
    _pg_theano "$@" # the file is one of $fpath, and read when it is first wanted
else
    compdef _pg_theano pg-theano
fi
