#!/bin/sh
# cli.sh URL CA_FILE: the same request with the curl and openssl commands, as scripts do it.
set -eu
stop_time=$(($(date +%s) + 3600))
text=ActionUpdateCompShareStopSchedulerProjectIdorg-defaultPublicKey${COMPSHARE_PUBLIC_KEY}Regioncn-wlcb
text=${text}SchedulerStopTime${stop_time}UHostIduhost-0001Zonecn-wlcb-01$COMPSHARE_PRIVATE_KEY
signature=$(printf %s "$text" | openssl dgst -sha1 -r)
reply=$(curl --silent --show-error --fail --http1.1 --cacert "$2" --data Action=UpdateCompShareStopScheduler --data ProjectId=org-default \
    --data-urlencode "PublicKey=$COMPSHARE_PUBLIC_KEY" --data Region=cn-wlcb --data "SchedulerStopTime=$stop_time" \
    --data UHostId=uhost-0001 --data Zone=cn-wlcb-01 --data "Signature=${signature%% *}" "$1")
case $reply in *'"RetCode":0,'* | *'"RetCode":0}'*) ;; *) echo "$reply" >&2; exit 1 ;; esac
