# bash completion for compshare-invoke
# shellcheck shell=bash disable=SC2207

_compshare_invoke()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=''
    COMPREPLY=()
    [ "$COMP_CWORD" -lt 1 ] || prev=${COMP_WORDS[COMP_CWORD - 1]}
    case $prev in
    --lang) COMPREPLY=($(compgen -W 'en zh' -- "$cur")); return ;;
    --timeout) COMPREPLY=($(compgen -W '15s 30s 60s' -- "$cur")); return ;;
    --ca-file) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --print | --region | --zone | --project-id | --profile | --base-url | --proxy | --retries) return ;;
    esac
    case $cur in
    -*) COMPREPLY=($(compgen -W '--reveal --print --region --zone --project-id --profile --base-url --ca-file
        --proxy --timeout --retries --verbose --lang --version --help' -- "$cur")) ;;
    [DU]*) COMPREPLY=($(compgen -W 'DescribeCompShareInstance UpdateCompShareStopScheduler
        DeleteCompShareStopScheduler' -- "$cur")) ;;
    esac
}

complete -F _compshare_invoke compshare-invoke
