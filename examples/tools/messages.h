/* ==== messages ====================================================================

   Does:  holds every text that a person reads, in English and in Chinese, which most of
          its users read. A row: its name, English, Chinese; both convert the same values
          in the same order, with what print.h knows of printf.
   May:   nothing else.
   Never: prints. */

/* What every program here says. */
#define COMMON_MESSAGES(X) \
    X(USAGE, "usage:", "用法:") \
    X(HELP_EVERYWHERE, "with every verb:", "所有动词都可用:") \
    X(SEE_HELP, "see %s --help", "请看 %s --help") \
    X(BAD_OPTION, "%s is not an option of it", "%s 不是它的选项") \
    X(NEEDS_VALUE, "%s needs a value", "%s 需要一个值") \
    X(TAKES_NO_VALUE, "%s takes no value", "%s 不带值") \
    X(MEANT, "; did you mean %s?", ";是不是想写 %s?") \
    X(KEY_OPTION, \
        "keys are never taken from the command line, where other users can read them", \
        "绝不从命令行读取密钥,别的用户看得见那里") \
    X(EXCLUSIVE, "%s and %s exclude each other", "%s 和 %s 不能同时使用") \
    X(BAD_DURATION, \
        "%s: \"%s\" is not a duration like 90s, 30m, 2h, 1h30m or 3d%s", \
        "%s: \"%s\" 不是 90s、30m、2h、1h30m、3d 这样的时长%s") \
    X(BAD_TIME, \
        "%s: \"%s\" is not a time: give seconds since 1970, or 2026-11-23T22:00+08:00%s", \
        "%s: \"%s\" 不是时间: 请写 1970 年以来的秒数,或 2026-11-23T22:00+08:00%s") \
    X(ABOVE_ZERO, ": write 1s at least", ": 至少要写 1s") \
    X(UNITS, ": %sm or %sh?", ": 是 %sm 还是 %sh?") \
    X(NO_DATE, \
        "%s: \"%s\" has neither a date nor an offset. The next one in Beijing is %d-%02d-%02dT" \
        "%s+08:00", \
        "%s: \"%s\" 没有日期和时区。北京时间的下一个是 %d-%02d-%02dT%s+08:00") \
    X(NO_OFFSET, \
        "%s: \"%s\" has no offset. In Beijing it is %s, in UTC it is %s: say which", \
        "%s: \"%s\" 没有时区。按北京时间是 %s,按 UTC 是 %s: 请写明") \
    X(BAD_NUMBER, \
        "%s: \"%s\" is not a number from %ld to %ld", \
        "%s: \"%s\" 不是 %ld 到 %ld 之间的整数") \
    X(BAD_WORD, "%s: \"%s\" is none of %s", "%s: \"%s\" 不在 %s 之中") \
    X(NO_KEYS, \
        "no credentials: set COMPSHARE_PUBLIC_KEY and COMPSHARE_PRIVATE_KEY, or write %s", \
        "没有密钥: 请设置 COMPSHARE_PUBLIC_KEY 和 COMPSHARE_PRIVATE_KEY,或者写 %s") \
    X(NO_FILE, \
        "--profile %s: there is no %s. Write it, or leave --profile out: then the keys of the " \
        "environment count", \
        "--profile %s: 没有文件 %s。请写好它,或者去掉 --profile: 那样用环境变量里的密钥") \
    X(HALF_A_KEY, "%s is set, but %s is not", "设置了 %s,却没有 %s") \
    X(NO_PROFILE, \
        "%s: it has no profile \"%s\" with public_key and private_key", \
        "%s: 里面没有带 public_key 和 private_key 的 profile \"%s\"") \
    X(BAD_CONFIG, "%s: it is not valid JSON", "%s: 不是有效的 JSON") \
    X(LONG_CONFIG, "%s: it is longer than 32 KB", "%s: 超过 32 KB") \
    X(FULL_CONFIG, "%s: there are more values in it than can be read", "%s: 里面的值太多,读不下") \
    X(FEW_DESCRIPTORS, \
        "too few files may be open at once: raise ulimit -n to 16 at least", \
        "允许同时打开的文件太少: 请把 ulimit -n 提高到至少 16") \
    X(BAD_CURRENT, \
        "%s: its current_profile is no name that can be used", \
        "%s: 其中的 current_profile 不是可用的名称") \
    X(CANNOT_READ, "%s: cannot be read: %s", "%s: 无法读取: %s") \
    X(CANNOT_WRITE, "%s: cannot be written: %s", "%s: 无法写入: %s") \
    X(OTHERS_READ, \
        "warning: %s can be read by others: chmod 600 it", \
        "警告: 别人可以读 %s: 请 chmod 600") \
    X(CLOCK_OFF, \
        "warning: this machine's clock is %s the server's by %s; times are reckoned on the " \
        "server's", \
        "警告: 本机时钟比服务器%s %s;时间按服务器计算") \
    X(AHEAD_OF, "ahead of", "快") \
    X(BEHIND, "behind", "慢") \
    X(SECONDS, "%lld s", "%lld 秒") \
    X(MINUTES, "%lld min", "%lld 分钟") \
    X(HOURS, "%lld h %lld min", "%lld 小时 %lld 分") \
    X(DAYS, "%lld d %lld h", "%lld 天 %lld 小时") \
    X(OFF_AT, "off at %s", "%s 关机") \
    X(IN_BEIJING, ", %s Beijing", ",北京时间 %s") \
    X(FAILED, "%s", "%s")

/* What compshare-schedule says. */
#define SCHEDULE_MESSAGES(X) \
    X(HELP_SET, "sets or moves the timed shutdown", "设置或移动定时关机") \
    X(HELP_SHOW, "shows when each instance goes off", "显示每个实例何时关机") \
    X(HELP_EXTEND, "moves the timed shutdown to a later time", "推迟定时关机") \
    X(HELP_CANCEL, \
        "takes the timed shutdown away: the instance is billed on", \
        "取消定时关机: 实例会一直计费") \
    X(HELP_AUDIT, \
        "finds what runs without a timed shutdown, and ends with 7 then", \
        "找出在运行却没有定时关机的实例,有则以 7 结束") \
    X(HELP_RUN, \
        "keeps the instance on while the job lives, and no longer", \
        "任务活着实例就开着,任务一结束就不再续租") \
    X(HELP_DOCTOR, \
        "checks keys, certificates, TLS, clock, projects and self", \
        "检查密钥、证书、TLS、时钟、项目和 self") \
    X(HELP, \
        "UHOST: an instance id, self, or - for ids on standard input. For set, extend,\n" \
        "cancel, show and audit also --all, and with it --name GLOB: every instance of\n" \
        "the account, in all projects unless --project-id is given.\n" \
        "TIME: seconds since 1970, or 2026-11-23T22:00+08:00. Durations: 90s, 1h30m, 3d.\n" \
        "Keys: COMPSHARE_PUBLIC_KEY and COMPSHARE_PRIVATE_KEY, else the profile in\n" \
        "COMPSHARE_CONFIG_FILE or ~/.config/compshare/config.json\n", \
        "UHOST: 实例编号、self,或者 - 表示从标准输入读取。set、extend、cancel、show 和\n" \
        "audit 还可以用 --all(可加 --name GLOB): 账号的全部实例,不写 --project-id 时\n" \
        "包括所有项目。\n" \
        "TIME: 1970 年以来的秒数,或 2026-11-23T22:00+08:00。时长: 90s、1h30m、3d。\n" \
        "密钥: COMPSHARE_PUBLIC_KEY 和 COMPSHARE_PRIVATE_KEY,否则取\n" \
        "COMPSHARE_CONFIG_FILE 或 ~/.config/compshare/config.json 里的 profile\n") \
    X(NO_VERB, \
        "a verb is needed: set, show, audit, extend, cancel, run or doctor", \
        "需要一个动词: set、show、audit、extend、cancel、run 或 doctor") \
    X(BAD_VERB, "\"%s\" is not a verb", "没有动词 \"%s\"") \
    X(NOT_HERE, "%s does not go with %s", "%s 不能用于 %s") \
    X(ONE_WORD, "; a duration is one word: --in 1h30m", ";时长要写成一个词: --in 1h30m") \
    X(NO_UHOST, "an instance is needed: its id, self, or --all", "需要实例: 编号、self 或 --all") \
    X(ALL_AND_SOME, "either --all or instances, not both", "--all 和实例编号只能二选一") \
    X(ONE_UHOST, \
        "run leases exactly one instance. A command stands behind --: " \
        "compshare-schedule run %s -- %s", \
        "run 只租用一个实例。命令要写在 -- 后面: compshare-schedule run %s -- %s") \
    X(BAD_UHOST, "\"%s\" is not the id of an instance", "\"%s\" 不是实例编号") \
    X(NO_TIME, "--in or --at is needed, one of them", "需要 --in 或 --at,且只能一个") \
    X(BOTH_TIMES, "--in or --at, not both: leave one out", "--in 和 --at 只能写一个") \
    X(NO_BY, "--by is needed", "需要 --by") \
    X(NO_COMMAND_GIVEN, \
        "--pid N or -- COMMAND is needed, one of them", \
        "需要 --pid N 或 -- 命令,且只能一个") \
    X(SHORT_TTL, \
        "--ttl: under 15 minutes a lease would not survive a short loss of the network", \
        "--ttl: 短于 15 分钟的租期挺不过一次短暂断网") \
    X(SHORT_IN, "%s: the API wants at least 300 s", "%s: 接口要求至少 300 秒") \
    X(WARN_AND_SIGNAL, "--warn and --signal belong together", "--warn 和 --signal 要一起用") \
    X(NO_MEMORY, "out of memory", "内存不足") \
    X(REMAINS, ", in %s", ",还有 %s") \
    X(NO_PLAN, "no timed shutdown", "没有定时关机") \
    X(WAS, "(was %s)", "(原为 %s)") \
    X(LEFT_ALONE, "(left as it was)", "(未改动)") \
    X(KEEPS_BILLING, \
        "note: prepaid, it is billed on while stopped", \
        "注意: 包年包月,关机后照样计费") \
    X(GETS_RELEASED, \
        "note: 7 days after it stops it is released, with its data", \
        "注意: 关机满 7 天会连同数据一起被释放") \
    X(FAILED_LINE, "%-18s  %s", "%-18s  %s") \
    X(SELF_FAILED, "self: %s", "self: %s") \
    X(NONE_MATCH, "no instance matches%s", "没有匹配的实例%s") \
    X(NOTHING_TO_DO, \
        "nothing to do: %zu instances match, and none of them needs it", \
        "无事可做: %zu 个实例匹配,都不需要改动") \
    X(PREPAID_LEFT, \
        "%zu prepaid instances were left out (--prepaid-ok takes them)", \
        "跳过了 %zu 个包年包月的实例(要包括请加 --prepaid-ok)") \
    X(TALLY, "%zu done, %zu failed", "成功 %zu 个,失败 %zu 个") \
    X(NOT_LISTED, \
        "no such instance in this account, region and project", \
        "此账号、地域和项目里没有这个实例") \
    X(NOT_RUNNING, \
        "it is \"%s\": only a Running instance can be given a timed shutdown", \
        "状态为 \"%s\": 只有 Running 的实例可以定时关机") \
    X(IS_SPOT, "a Spot instance cannot be given a timed shutdown", "抢占式实例不支持定时关机") \
    X(NOTHING_TO_EXTEND, "it has no timed shutdown to extend", "没有可推迟的定时关机") \
    X(ACCEPTED, "accepted", "已接受") \
    X(NOT_SHOWN, "accepted, but reading back did not show it", "已接受,但读回时没有看到") \
    X(NOT_ANSWERED, "got no clear answer", "没有明确应答") \
    X(DOUBT, \
        "not confirmed, reading back did not show it: %s was asked for and %s; %s is shown. " \
        "Look with: compshare-schedule show %s. Then: ", \
        "未确认,读回时没有看到: 请求的是 %s,%s;现在显示 %s。请查看: compshare-schedule show %s" \
        "。然后: ") \
    X(AGAIN, \
        "compshare-schedule set %s --at %lld, or compshare-schedule cancel %s", \
        "compshare-schedule set %s --at %lld,或 compshare-schedule cancel %s") \
    X(CANCEL_AGAIN, "compshare-schedule cancel %s", "再次 compshare-schedule cancel %s") \
    X(CANCEL_SURE, \
        "without its timed shutdown %s is billed until somebody stops it. Cancel it? [y/N] ", \
        "没有定时关机,%s 会一直计费到有人关机为止。取消吗?[y/N] ") \
    X(CANCEL_YES, \
        "cancelling %zu timed shutdowns without a terminal needs --yes", \
        "没有终端时取消 %zu 个定时关机需要 --yes") \
    X(CANCEL_ALL_SURE, \
        "without their %zu timed shutdowns instances are billed until somebody stops them. " \
        "Cancel them? [y/N] ", \
        "没有这 %zu 个定时关机,实例会一直计费到有人关机为止。取消吗?[y/N] ") \
    X(SOON_SURE, \
        "%zu instances go off in under an hour. Go on? [y/N] ", \
        "%zu 个实例将在一小时内关机。继续吗?[y/N] ") \
    X(SOON_YES, \
        "having %zu instances go off in under an hour needs --yes without a terminal", \
        "没有终端时让 %zu 个实例在一小时内关机需要 --yes") \
    X(NOTHING_CHANGED, "nothing was changed", "什么也没有改") \
    X(UNPLANNED, "RUNS WITHOUT A TIMED SHUTDOWN", "在运行,没有定时关机") \
    X(AUDIT_TALLY, \
        "%zu instances, %zu run pay-as-you-go without a timed shutdown", \
        "%zu 个实例,其中 %zu 个按量计费、在运行、没有定时关机") \
    X(DOCTOR_NO_SELF, \
        "self: none of the account's instances (COMPSHARE_UHOST_ID names one)", \
        "self: 本机不是账号里的实例(可用 COMPSHARE_UHOST_ID 指明)") \
    X(NOT_SELF, \
        "self: no instance of the account has this host's private address and MAC; candidates: " \
        "%s", \
        "self: 账号里没有哪个实例的内网地址和 MAC 与本机相符;候选: %s") \
    X(TWO_SELVES, \
        "self: more than one instance has this host's private address and MAC: %s", \
        "self: 不止一个实例的内网地址和 MAC 与本机相符: %s") \
    X(IS_PREPAID, \
        "%s is prepaid (%s): stopping it saves nothing. --prepaid-ok leases it all the same", \
        "%s 是包年包月(%s): 关机省不了钱。要租用请加 --prepaid-ok") \
    X(TOO_LATE, \
        "--until and --max leave less than 300 s", \
        "--until 和 --max 留下的时间不足 300 秒") \
    X(CANNOT_RUN, "%s: cannot be run: %s", "%s: 无法运行: %s") \
    X(NO_PROCESS, "--pid %ld: no such process", "--pid %ld: 没有这个进程") \
    X(NOT_OURS, \
        "--pid %ld: it is another user's and cannot be sent the --signal", \
        "--pid %ld: 属于别的用户,无法向它发送 --signal") \
    X(NO_LOCK, \
        "warning: %s cannot be locked: another run on this host would not be noticed", \
        "警告: 无法锁定 %s: 察觉不到本机的其他 run") \
    X(DOCTOR_OK, "ok       ", "正常 ") \
    X(DOCTOR_WARNING, "warning  ", "警告 ") \
    X(DOCTOR_FAILED, "failed   ", "失败 ") \
    X(DOCTOR_KEYS, "credentials: from %s", "密钥: 来自 %s") \
    X(DOCTOR_ROOTS, "root certificates: %s", "根证书: %s") \
    X(DOCTOR_SYSTEM, "the system's bundle", "系统证书包") \
    X(DOCTOR_EMBEDDED, "built into this program", "内置") \
    X(DOCTOR_NAME, \
        "name resolution: %s, %zu addresses, %ld ms", \
        "域名解析: %s,%zu 个地址,%ld 毫秒") \
    X(DOCTOR_NO_NAME, \
        "name resolution: %s: %s. Check the network and /etc/resolv.conf", \
        "域名解析: %s: %s。请检查网络和 /etc/resolv.conf") \
    X(DOCTOR_PROXY, "proxy: %s", "代理: %s") \
    X(DOCTOR_NO_TLS, "connection to %s: %s", "到 %s 的连接: %s") \
    X(DOCTOR_NO_SIGNATURE, \
        "signature: %s. Write both keys again, as the console shows them: they must be one pair", \
        "签名: %s。请按控制台的显示重新填写两个密钥: 它们必须是一对") \
    X(DOCTOR_TLS, "TLS 1.%d, %s, reply in %ld ms", "TLS 1.%d,%s,%ld 毫秒收到应答") \
    X(DOCTOR_DAYS, "server's certificate: expires in %ld day(s)", "服务器证书: %ld 天后到期") \
    X(DOCTOR_RENEW, \
        "server's certificate: expires in %ld day(s). Unless it is renewed, connections will " \
        "then fail", \
        "服务器证书: %ld 天后到期。如不续期,届时将无法连接") \
    X(DOCTOR_CLOCK, "clock: %s the server's by %s", "时钟: 比服务器%s %s") \
    X(DOCTOR_CLOCK_FINE, "clock: within %s of the server's", "时钟: 与服务器相差不到 %s") \
    X(DOCTOR_SIGNATURE, "signature: accepted", "签名: 已接受") \
    X(DOCTOR_PROJECT, "project: %s, of %zu: %s", "项目: %s,共 %zu 个: %s") \
    X(DOCTOR_TRIPS, "round trip on the kept connection: %ld ms", "保持连接上的往返: %ld 毫秒") \
    X(DOCTOR_SET_PROJECT, "project: %s. Give --project-id", "项目: %s。请用 --project-id 指定")

/* What `run` promises, and what it tells of its promises: each is proved by a test, which
   tests/tool/promises.py names. */
#define PROMISES(X) \
    X(STAYS_ON, "%s stays on while the job lives", "任务运行期间 %s 保持开机") \
    X(STAYS_UNTIL, \
        "%s stays on while the job lives, until %s at the longest", \
        "任务运行期间 %s 保持开机,最晚到 %s") \
    X(AFTER_GRACE, "it goes off %s after the job ends", "任务结束 %s 后关机") \
    X(AFTER_STOP, "it is stopped as soon as the job ends", "任务一结束就关机") \
    X(AFTER_CANCEL, \
        "nothing switches it off after the job: its timed shutdown is then taken away", \
        "任务结束后不会关机: 届时取消定时关机") \
    X(AFTER_KEEP, \
        "the job's end changes nothing: it goes off when the lease has run out", \
        "任务结束不改变什么: 租期到了才关机") \
    X(AFTER_RESTORE, \
        "when the job ends, the shutdown that stood before is put back: off at %s", \
        "任务结束后恢复原来的定时: %s 关机") \
    X(IF_IT_DIES, \
        "off by %s if this program, its network or its machine dies", \
        "如果本程序、网络或本机出故障,最晚 %s 关机") \
    X(BEFORE_MOVED, \
        "a timed shutdown stood before, at %s: moved to %s for the job", \
        "之前已有定时关机 %s: 为此任务改到 %s") \
    X(BEFORE_LEFT, \
        "a timed shutdown stood before, at %s: left there while the job lives", \
        "之前已有定时关机 %s: 任务运行期间不去改它") \
    X(BEFORE_CAPPED, \
        "a timed shutdown stood before, at %s: brought down to %s, the limit", \
        "之前已有定时关机 %s: 提前到上限 %s") \
    X(NOT_ARMED, \
        "the lease could not be set, and the command was not started: %s", \
        "租约没有设成,命令没有启动: %s") \
    X(MAY_BE_SET, \
        "\n" \
        "it may go off at %s all the same. This brings back what stood before:\n" \
        "    %s", \
        "\n" \
        "它仍可能在 %s 关机。恢复原状请执行:\n" \
        "    %s") \
    X(UNARMED_ON, \
        "warning: the lease could not be set, and the command starts all the same: %s", \
        "警告: 租约没有设成,命令照样启动: %s") \
    X(INTERRUPTED, "interrupted: the command was not started", "已中断: 命令没有启动") \
    X(PUT_BACK, \
        "nothing was started: what stood before is put back, off at %s", \
        "什么也没有启动: 已恢复原来的定时,%s 关机") \
    X(PUT_BACK_NONE, \
        "nothing was started: the timed shutdown is taken away again", \
        "什么也没有启动: 已重新取消定时关机") \
    X(STAYS_SET, \
        "nothing was started: it stays as it is, off at %s", \
        "什么也没有启动: 定时不变,%s 关机") \
    X(NOT_PUT_BACK, \
        "nothing was started, and what stood before could not be put back (%s): off by %s. " \
        "This does it:\n" \
        "    %s", \
        "什么也没有启动,也未能恢复原状(%s): 最晚 %s 关机。恢复请执行:\n" \
        "    %s") \
    X(OTHER_ENDS, \
        "another run on this host is just ending its lease of %s: waiting for that", \
        "本机另一个 run 正在结束对 %s 的租用: 等它完成") \
    X(STRANGERS, \
        "warning: this process had children before the command: what the command leaves behind " \
        "is not waited for", \
        "警告: 启动命令之前本进程已有子进程: 命令留下的进程不再等待") \
    X(RENEWED, "renewed: off by %s", "已续租: 最晚 %s 关机") \
    X(RENEWED_AGAIN, "renewed again: off by %s", "已恢复续租: 最晚 %s 关机") \
    X(MOVED_BACK, "somebody had set %s: extended to %s", "有人把它改为 %s: 已推迟到 %s") \
    X(GONE_PLAN, \
        "no timed shutdown was shown (was it cancelled?): set again, off by %s", \
        "没有看到定时关机(被取消了?): 已重新设置,最晚 %s 关机") \
    X(LATER_PLAN, \
        "somebody has set %s, which is later: left alone", \
        "有人把它设为更晚的 %s: 不去改它") \
    X(LATER_CAPPED, \
        "somebody had set %s, beyond the limit: brought down to %s", \
        "有人把它设为超过上限的 %s: 已提前到 %s") \
    X(RENEWAL_FAILED, \
        "renewal failed, off by %s, %s left: %s", \
        "续租失败,最晚 %s 关机,还剩 %s: %s") \
    X(RAN_OUT, "the lease has run out: off at %s", "租期已到: %s 关机") \
    X(AWAY, \
        "%s is %s: looked at until it is Running, and then leased again", \
        "%s 的状态是 %s: 继续查看,一旦 Running 就重新租用") \
    X(WARNED, "%s before the card goes off: signal %s sent", "离关机还有 %s: 已发送信号 %s") \
    X(SUSPENDED, "suspended: renewals pause, off by %s", "已挂起: 暂停续租,最晚 %s 关机") \
    X(WAITING, \
        "the command has ended, but processes that it started still run: waiting for them: %ld " \
        "(%s)", \
        "命令已结束,但它启动的进程还在: 等它们结束: %ld (%s)") \
    X(MORE_LEFT, "and %zu more", "另外还有 %zu 个") \
    X(NOT_AWAITED, "not waited for any longer: %ld (%s)", "不再等待: %ld (%s)") \
    X(QUICK_END, \
        "the command ended within 10 s: did it only start something else (docker run -d)?", \
        "命令不到 10 秒就结束了: 它是不是只启动了别的东西(docker run -d)?") \
    X(GONE, "%s is %s: there is nothing to end", "%s 的状态是 %s: 没有可结束的租约") \
    X(STILL_RUNS, \
        "process %ld still runs: nothing is changed, off at %s", \
        "进程 %ld 还在运行: 不作改动,%s 关机") \
    X(WATCHING, \
        "a renewal may still be on its way: looking for %s that it does not change this", \
        "可能有一次续租还在路上: 再观察 %s,确保它不改变结果") \
    X(ENDED_GRACE, "the job has ended: off at %s", "任务已结束: %s 关机") \
    X(ENDED_THEIRS, \
        "the job has ended: off at %s, as somebody else had set", \
        "任务已结束: 按别人的设置 %s 关机") \
    X(ENDED_RESTORED, \
        "the job has ended: off at %s, as it was set before", \
        "任务已结束: 按原来的设置 %s 关机") \
    X(ENDED_STOP, "the job has ended: the instance is stopped", "任务已结束: 实例已关机") \
    X(ENDED_CANCEL, "the job has ended: no timed shutdown any more", "任务已结束: 不再定时关机") \
    X(ENDED_OTHERS, \
        "the job has ended; another run on this host still leases %s", \
        "任务已结束;本机还有别的 run 租用 %s") \
    X(END_FAILED, \
        "the end of the job could not be told to the API (%s): off by %s at the latest", \
        "无法把任务结束告诉接口(%s): 最晚 %s 关机") \
    X(END_UNARMED, \
        "the end of the job could not be told to the API (%s), and no lease was ever set: stop " \
        "it by hand", \
        "无法把任务结束告诉接口(%s),租约也从未设成: 请手动关机") \
    X(END_DOUBT, \
        "the end of the job could not be told to the API (%s): the timed shutdown may have " \
        "been cancelled. Look at %s, or it is billed until somebody stops it", \
        "无法把任务结束告诉接口(%s): 定时关机可能已取消。请查看 %s,否则会一直计费")

/* What compshare-invoke says. */
#define INVOKE_MESSAGES(X) \
    X(INVOKE_FORM, \
        "compshare-invoke [OPTION...] [--reveal] [--print PATH] ACTION [Name=value ...]", \
        "compshare-invoke [选项...] [--reveal] [--print PATH] ACTION [Name=value ...]") \
    X(INVOKE_HELP, \
        "Calls ACTION of the API and prints its reply as JSON. Passwords, tokens and URLs are\n" \
        "shown as \"***\" without --reveal. --print UHostSet.0.State prints one value only.\n" \
        "  --region R --zone Z --project-id P --profile NAME --base-url URL --ca-file FILE\n" \
        "  --proxy URL --timeout 15s --retries N --verbose --lang zh|en --version --help\n" \
        "Keys: COMPSHARE_PUBLIC_KEY and COMPSHARE_PRIVATE_KEY, else the profile in\n" \
        "COMPSHARE_CONFIG_FILE or ~/.config/compshare/config.json\n", \
        "调用接口 ACTION,把应答打印为 JSON。不加 --reveal 时,密码、令牌和网址显示为\n" \
        "\"***\"。--print UHostSet.0.State 只打印一个值。\n" \
        "  --region R --zone Z --project-id P --profile NAME --base-url URL --ca-file FILE\n" \
        "  --proxy URL --timeout 15s --retries N --verbose --lang zh|en --version --help\n" \
        "密钥: COMPSHARE_PUBLIC_KEY 和 COMPSHARE_PRIVATE_KEY,否则取\n" \
        "COMPSHARE_CONFIG_FILE 或 ~/.config/compshare/config.json 里的 profile\n") \
    X(NO_ACTION, \
        "an action is needed: DescribeCompShareInstance, say", \
        "需要一个接口名,例如 DescribeCompShareInstance") \
    X(BAD_PARAM, \
        "\"%s\": a parameter is written Name=value", \
        "\"%s\": 参数要写成 Name=value") \
    X(MANY_PARAMS, "more than %ld parameters", "参数超过 %ld 个") \
    X(NOTHING_AT, \
        "done, but the reply has nothing at %s", \
        "已完成,但应答里没有 %s")

#define MESSAGE_ID(name, english, chinese) M_##name,
enum { MESSAGES(MESSAGE_ID) M_COUNT };      /* MESSAGES: those that a program says */

/* All texts, one behind the other: English, Chinese, English... Pointers to them would take
   16 bytes a message, 3 KB of the static program. */
#define MESSAGE_ROOM(name, english, chinese) \
    char name##_english[sizeof english], name##_chinese[sizeof chinese];
#define MESSAGE_TEXTS(name, english, chinese) english, chinese,
static const struct { MESSAGES(MESSAGE_ROOM) } messages = { MESSAGES(MESSAGE_TEXTS) };

static int language;            /* 0: English, 1: Chinese */

/* A message in the language. */
static const char *tr(int message)
{
    const char *at = (const char *)&messages;
    int before = 2 * message + language;
    for (; before > 0; before--) at += strlen(at) + 1;
    return at;
}
