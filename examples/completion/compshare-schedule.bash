# bash completion for compshare-schedule
# shellcheck shell=bash disable=SC2207

_compshare_schedule()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev='' verb='' word i options
    local common='--json --region --zone --project-id --profile --base-url --ca-file --proxy --timeout --retries --verbose --lang --version --help'
    COMPREPLY=()
    [ "$COMP_CWORD" -lt 1 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
    [ "$cur" != = ] || cur=''
    # --option=value: bash splits it at the sign
    [ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD - 2]}

    # The verb is the first word that is neither an option nor an option's value;
    # behind a lone -- the command line of another program begins.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        --)
            if declare -F _command_offset >/dev/null; then _command_offset $((i + 1))
            elif [ "$COMP_CWORD" -eq $((i + 1)) ]; then COMPREPLY=($(compgen -c -- "$cur"))
            else COMPREPLY=($(compgen -f -- "$cur")); fi
            return
            ;;
        --name | --in | --at | --by | --ttl | --grace | --on-exit | --until | --max | --warn | --signal | --linger | --pid | --status-file | \
            --region | --zone | --project-id | --profile | --base-url | --ca-file | --proxy | --timeout | --retries | --lang)
            [ "${COMP_WORDS[i + 1]}" != = ] || ((i++))
            ((i++))
            ;;
        -*) ;;
        *) [ -n "$verb" ] || verb=$word ;;
        esac
    done

    case $prev in
    --on-exit) COMPREPLY=($(compgen -W 'grace stop cancel keep restore' -- "$cur")); return ;;
    --lang) COMPREPLY=($(compgen -W 'en zh' -- "$cur")); return ;;
    --signal) COMPREPLY=($(compgen -W 'HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT' -- "$cur")); return ;;
    --in | --by | --at | --ttl | --max | --until) [ "$prev" = --until ] || COMPREPLY=($(compgen -W '30m 1h 2h 6h 12h 1d' -- "$cur")); return ;;
    --grace | --warn | --linger) COMPREPLY=($(compgen -W '10m 15m 30m 1h' -- "$cur")); return ;;
    --pid) COMPREPLY=($(compgen -W "$(ps -u "$(id -u)" -o pid= 2>/dev/null)" -- "$cur")); return ;;
    --ca-file | --status-file) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --name | --region | --zone | --project-id | --profile | --base-url | --proxy | --timeout | --retries) return ;;
    esac

    case $verb in
    '') COMPREPLY=($(compgen -W "set show audit extend cancel run doctor $([ "${cur#-}" = "$cur" ] || echo "$common")" -- "$cur")); return ;;
    set) options='--all --name --if-none --in --at --only-extend --only-shorten --prepaid-ok --yes' ;;
    show) options='--all --name --reveal' ;;
    audit) options='--all --name --all-projects' ;;
    extend) options='--all --name --by' ;;
    cancel) options='--all --name --yes' ;;
    run) options='--ttl --grace --on-exit --until --max --warn --signal --linger --pid --prepaid-ok --unarmed-ok --status-file --' ;;
    *) options='' ;;
    esac
    case $cur in
    -*) COMPREPLY=($(compgen -W "$options $common" -- "$cur")) ;;
    *) case $verb in set | show | extend | cancel | run) COMPREPLY=($(compgen -W self -- "$cur")) ;; esac ;;
    esac
}

complete -F _compshare_schedule compshare-schedule
