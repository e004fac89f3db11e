#!/usr/bin/env python3
"""lease_svg.py en|zh >FILE: draws the picture of the READMEs, examples/lease.svg and
examples/lease.zh-CN.svg: how long an instance stays on, over time, while `run` renews its
lease, and three ways in which that ends. The curve follows the tool's rules: a ttl of
60 min, renewals every 10 min and up to a fifth earlier, a grace of 15 min."""
import random
import sys

TTL, INTERVAL, GRACE, FLOOR, WARN = 60.0, 10.0, 15.0, 5.0, 10.0
EVENT, LAST = 51.0, 150.0           # when it happens, and where the axis ends, in minutes
WIDTH, LEFT, RIGHT, TOP, PLOT, STEP = 860, 74, 22, 78, 118, 206

TEXT = {
    "en": {
        "title": "A lease: minutes until the planned shutdown",
        "sub": "compshare-schedule run --ttl 60m --grace 15m: every renewal moves it a full ttl ahead",
        "panels": ["The job ends", "The machine that runs it dies", "The network is lost"],
        "events": ["the job ends: shortened to the grace", "no renewal any more; the server keeps the plan", "renewals fail, and are tried again every 5 to 60 s"],
        "renewals": "renewals", "floor": "300 s: the API takes nothing nearer", "job": "job", "billed": "billed", "off": "off: ",
        "warn": "--warn 10m: write a checkpoint", "ttl": "ttl 60", "grace": "grace 15", "axis": "minutes since the start",
        "saved": ["15 min after the job", "at the end of the last lease", "at the end of the last lease"],
    },
    "zh": {
        "title": "租约:距计划关机还有多少分钟",
        "sub": "compshare-schedule run --ttl 60m --grace 15m:每次续租都推迟到一个完整租期之后",
        "panels": ["任务结束", "运行它的机器死机", "网络中断"],
        "events": ["任务结束:缩短到宽限期", "不再续租;计划仍在服务器上", "续租失败,每 5 到 60 秒重试"],
        "renewals": "续租", "floor": "300 秒:接口不接受更近的时间", "job": "任务", "billed": "计费", "off": "关机:",
        "warn": "--warn 10m:保存检查点", "ttl": "租期 60", "grace": "宽限 15", "axis": "开始后的分钟数",
        "saved": ["任务结束 15 分钟后", "最后一次租期结束时", "最后一次租期结束时"],
    },
}

STYLE = """
  .paper { fill: #ffffff } .ink { fill: #1f2328 } .soft { fill: #59636e } .grid { stroke: #d1d9e0 }
  .line { stroke: #0969da } .dot { fill: #0969da } .event { stroke: #cf222e } .eventtext { fill: #cf222e }
  .floor { fill: #cf222e; fill-opacity: .10 } .job { fill: #1a7f37 } .billed { fill: #bf8700 } .paused { stroke: #cf222e }
  .warn { fill: #bc4c00 } .halo { stroke: #ffffff }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } .ink { fill: #f0f6fc } .soft { fill: #9198a1 } .grid { stroke: #3d444d }
    .line { stroke: #4493f8 } .dot { fill: #4493f8 } .event { stroke: #f85149 } .eventtext { fill: #ff7b72 }
    .floor { fill: #f85149; fill-opacity: .20 } .job { fill: #3fb950 } .billed { fill: #d29922 } .paused { stroke: #f85149 }
    .warn { fill: #f0883e } .halo { stroke: #0d1117 }
  }
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif }
  .big { font-size: 17px; font-weight: 600 } .head { font-size: 14px; font-weight: 600 } .small { font-size: 12px }
  .end { text-anchor: end } .middle { text-anchor: middle }
  .line, .event, .paused { fill: none; stroke-width: 2; stroke-linejoin: round }
  .paused { stroke-width: 1.4 }
  .over { paint-order: stroke; stroke-width: 4; stroke-linejoin: round }
"""


def x(minute):
    return LEFT + (WIDTH - LEFT - RIGHT) * minute / LAST


def renewals():
    """When it renews until the event, the arming at 0 first."""
    chance = random.Random(5)
    at, times = 0.0, [0.0]
    while True:
        at += INTERVAL * (1 - 0.2 * chance.random())
        if at >= EVENT - 1:
            return times
        times.append(at)


class Drawing:
    def __init__(self):
        self.parts = []

    def add(self, text):
        self.parts.append("  " + text)

    def text(self, left, top, words, classes="ink", more=""):
        self.add('<text x="%.1f" y="%.1f" class="%s"%s>%s</text>' % (left, top, classes, more, words))

    def path(self, points, classes):
        self.add('<path class="%s" d="M%s"/>' % (classes, " L".join("%.1f %.1f" % p for p in points)))


def panel(d, words, which, top):
    def y(left):
        return top + PLOT - PLOT * left / (TTL + 4)

    times = renewals()
    d.text(LEFT, top - 12, "%d  %s" % (which + 1, words["panels"][which]), "ink head")
    d.add('<rect class="floor" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>' % (LEFT, y(FLOOR), WIDTH - LEFT - RIGHT, y(0) - y(FLOOR)))
    for left, label in ((TTL, words["ttl"]), (GRACE, words["grace"]), (0, "0")):
        d.add('<path class="grid" stroke-width="1"%s d="M%.1f %.1fH%.1f"/>' % ("" if left == 0 else ' stroke-dasharray="2 4"', LEFT, y(left), WIDTH - RIGHT))
        d.text(LEFT - 8, y(left) + 4, label, "soft small end")
    points = []
    for at, following in zip(times, times[1:] + [EVENT]):
        points += [(x(at), y(TTL)), (x(following), y(TTL - (following - at)))]
    lease_end = times[-1] + TTL
    if which == 0:
        points.append((x(EVENT), y(GRACE)))
        off = EVENT + GRACE
    else:
        off = lease_end
    points.append((x(off), y(0)))
    d.path([(x(EVENT), top - 2), (x(EVENT), y(0))], 'event" stroke-dasharray="4 4" stroke-opacity=".7')
    d.path(points, "line")
    if which == 2:
        at, pause, attempt = EVENT, 5 / 60, 0
        while at < off - 1:
            if attempt % 4 == 0:        # one of four is drawn
                d.add('<path class="paused" d="M%.1f %.1fl6 6m0 -6l-6 6"/>' % (x(at) - 3, y(lease_end - at) - 3))
            at, pause, attempt = at + pause, min(pause * 2, 1), attempt + 1
        warn = off - WARN
        d.add('<circle class="warn" cx="%.1f" cy="%.1f" r="5"/>' % (x(warn), y(WARN)))
        d.text(x(warn) + 4, y(WARN) - 12, words["warn"], "warn halo over")
    d.add('<circle class="dot" cx="%.1f" cy="%.1f" r="5"/>' % (x(off), y(0)))
    if which == 0:
        d.text(x(times[2]), y(32), words["renewals"], "soft small middle")
        for at in times[1:4]:
            d.add('<path class="grid" stroke-width="1" d="M%.1f %.1fL%.1f %.1f"/>' % (x(times[2]), y(39.5), x(at), y(49)))
        d.text(LEFT + 8, y(FLOOR) - 5, words["floor"], "eventtext small halo over")
    d.text(x(EVENT) + 9, top + 10, words["events"][which], "eventtext halo over")
    d.text(x(off) + 10, y(0) - 8, words["off"] + words["saved"][which], "ink halo over")
    bars = top + PLOT + 10
    job_end = EVENT if which < 2 else off
    for row, (name, until) in enumerate((("job", job_end), ("billed", off))):
        d.add('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="7" rx="3.5"/>' % (name, LEFT, bars + 13 * row, x(until) - LEFT))
        d.text(LEFT - 8, bars + 8 + 13 * row, words[name], "soft small end")


def main():
    words = TEXT[sys.argv[1] if len(sys.argv) > 1 else "en"]
    height = TOP + 3 * STEP - 12
    d = Drawing()
    d.add('<rect class="paper" width="%d" height="%d" rx="8"/>' % (WIDTH, height))
    d.text(LEFT, 28, words["title"], "ink big")
    d.text(LEFT, 48, words["sub"], "soft")
    for which in range(3):
        panel(d, words, which, TOP + 14 + which * STEP)
    bottom = TOP + 14 + 2 * STEP + PLOT + 10 + 26
    for minute in range(0, int(LAST) - 29, 30):
        d.add('<path class="grid" stroke-width="1" d="M%.1f %.1fv5"/>' % (x(minute), bottom))
        d.text(x(minute), bottom + 18, str(minute), "soft small middle")
    d.text(WIDTH - RIGHT, bottom + 18, words["axis"], "soft small end")
    print('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">' % (WIDTH, height, WIDTH, height, words["title"]))
    print("<style>%s</style>" % STYLE)
    print("\n".join(d.parts))
    print("</svg>")


main()
