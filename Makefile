# make            the examples
# make demo       the main job against a loopback gateway (a real account only with DEMO_LIVE=1)
# make test       everything that must hold, ends with "N passed, N failed"
# make torture    every operation of the system fails once, in every way
# make fuzz       TIME=60: hostile bytes for so many seconds, all targets together
# make coverage   lines and branches of compshare.h by room; fails where one was never taken
# make sanitize   memory that was never written, integers that wrap, hardened builds
# make size       sizes of the object, here and for a Cortex-M4, and of the client's memory
# make bench      times and sizes beside libcurl, the curl command and bare BearSSL: build/bench.md and plots
# make bench-counts  what of it comes out the same every time, each within its limit; bench-plots: the README's picture
# make bench-ir   instructions of one warm and one cold call, by room and by function
# make deps       installs what demo and test need, and does nothing else
# make install    the header, the tools, manual pages, completion, examples; PREFIX=/usr/local DESTDIR=
# make uninstall  takes away what install has put there
# make static     compshare-schedule as one static file, with musl; CA=FILE puts root certificates into it
# make release    the same for x86-64, arm64 and armhf, stripped, with sha256 sums
# Needs git, make and a C compiler; demo and test install what else they need.

PREFIX ?= /usr/local
BUILD ?= build
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wvla -Werror
C99 = -std=c99 $(WARNINGS)
POSIX = $(C99) -D_GNU_SOURCE
SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

TOOLS = $(BUILD)/examples/compshare-schedule $(BUILD)/examples/compshare-invoke
TOOL_PARTS = $(wildcard examples/tools/*.h)
EXAMPLES = $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c)) $(TOOLS)
UNIT = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
INTEGRATION = $(patsubst tests/integration/%.c,%,$(wildcard tests/integration/test_*.c))
GATEWAY = $(BUILD)/tests/gateway
RAW = $(BUILD)/tests/raw_server
CERTS = $(BUILD)/tests/certs/stamp
PROGRAMS = $(UNIT:%=$(BUILD)/tests/unit/%) $(INTEGRATION:%=$(BUILD)/tests/integration/%)
SANITIZED = $(UNIT:%=$(BUILD)/tests/sanitized/unit/%) $(INTEGRATION:%=$(BUILD)/tests/sanitized/integration/%)

.DELETE_ON_ERROR:
.PHONY: all demo test torture fuzz coverage sanitize test-programs check-programs setup-demo setup-test setup-check setup-static \
	setup-release setup-bench bench bench-counts bench-ir bench-plots size static release deps install uninstall clean certs

all: $(EXAMPLES)

$(BUILD)/examples/%: examples/%.c compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) $(CFLAGS) $(LDFLAGS) -I. -o $@ $< -lbearssl

$(TOOLS): $(BUILD)/examples/%: examples/tools/%.c $(TOOL_PARTS) compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) $(CFLAGS) $(LDFLAGS) -I. -o $@ $< -lbearssl

# ---- demo ----

setup-demo:
	@CC="$(CC)" sh tests/scripts/setup.sh demo

demo: setup-demo
	@$(MAKE) --no-print-directory -s $(GATEWAY) certs $(EXAMPLES)
	@sh tests/scripts/demo.sh $(BUILD)

# ---- tests ----

setup-test deps:
	@CC="$(CC)" sh tests/scripts/setup.sh test

$(GATEWAY): tests/gateway/gateway.c tests/gateway/dialects.h
	@mkdir -p $(@D)
	$(CC) $(C99) $(CFLAGS) -o $@ $< -lmicrohttpd -lgnutls -ljansson -lpthread

$(RAW): tests/raw/raw_server.c
	@mkdir -p $(@D)
	$(CC) $(C99) $(CFLAGS) -o $@ $< -lssl -lcrypto -pthread

# remakes them by itself when they are about to expire
certs:
	@sh tests/scripts/certs.sh $(BUILD)/tests/certs

# one transport, one clock, one way to start servers
SUPPORT = $(wildcard tests/support/*.h)
LIBS = -lcmocka -lbearssl -ljansson -lcurl -lcrypto -lm -ldl -pthread

$(BUILD)/tests/unit/test_lease $(BUILD)/tests/sanitized/unit/test_lease: $(TOOL_PARTS)

$(BUILD)/tests/unit/%: tests/unit/%.c $(wildcard tests/unit/*.h) $(SUPPORT) compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) $(CFLAGS) -I. -Itests/unit -Itests/support -o $@ $< $(LIBS)

$(BUILD)/tests/integration/%: tests/integration/%.c $(wildcard tests/integration/*.h) $(SUPPORT) tests/gateway/dialects.h compshare.h
	@mkdir -p $(@D)
	$(CC) $(POSIX) $(CFLAGS) -I. -Itests/integration -Itests/support -o $@ $< $(LIBS)

$(BUILD)/tests/sanitized/unit/%: tests/unit/%.c $(wildcard tests/unit/*.h) $(SUPPORT) compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) $(SANITIZE) -I. -Itests/unit -Itests/support -o $@ $< $(LIBS)

$(BUILD)/tests/sanitized/integration/%: tests/integration/%.c $(wildcard tests/integration/*.h) $(SUPPORT) tests/gateway/dialects.h compshare.h
	@mkdir -p $(@D)
	$(CC) $(POSIX) $(SANITIZE) -I. -Itests/integration -Itests/support -o $@ $< $(LIBS)

# the tool, with clocks that tests move
TOOL_CLOCK = $(BUILD)/tests/tool_clock

$(TOOL_CLOCK): examples/tools/compshare-schedule.c tests/tool/pace.c $(TOOL_PARTS) compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) $(CFLAGS) -U_FORTIFY_SOURCE -DSCHEDULE_TEST_CLOCK -I. -o $@ $(filter %.c,$^) -lbearssl \
		-Wl,--wrap=poll,--wrap=fork

test-programs: $(GATEWAY) $(RAW) certs $(PROGRAMS) $(SANITIZED) $(EXAMPLES) $(TOOL_CLOCK)

test: setup-test
	@$(MAKE) --no-print-directory -s -j2 test-programs
	@COMPSHARE_TEST_BIN=$(BUILD)/tests COMPSHARE_TEST_CERTS=$(BUILD)/tests/certs sh tests/scripts/run.sh \
		"rooms=python3 tests/scripts/rooms.py" \
		"misuse=CC='$(CC)' CXX='$(CXX)' sh tests/misuse/run.sh $(BUILD)/tests/misuse" \
		"shipped=CC='$(CC)' bash tests/tool/ship.sh $(BUILD); shipped=$$?; sh tests/tool/static.sh $(BUILD) && exit $$shipped" \
		"set-up=sh tests/tool/set_up.sh" \
		"tool=python3 tests/tool/test_tool.py --tool $(BUILD)/examples/compshare-schedule --tool-clock $(TOOL_CLOCK) \
			--gateway $(GATEWAY) --certs $(BUILD)/tests/certs" \
		"forms=CC='$(CC)' sh tests/scripts/forms.sh $(BUILD)/tests/forms" \
		"embedded=CC='$(CC)' sh tests/scripts/embedded.sh $(BUILD)/tests/embedded" \
		$(foreach p,$(PROGRAMS) $(SANITIZED),$(p)=$(p)) \
		"examples=sh tests/scripts/examples.sh $(BUILD)"

# ---- longer checks ----

setup-check:
	@CC="$(CC)" sh tests/scripts/setup.sh check

CHECKS = COMPSHARE_TEST_BIN=$(BUILD)/tests COMPSHARE_TEST_CERTS=$(BUILD)/tests/certs CC="$(CC)"
TORTURE = $(BUILD)/tests/torture
TIME ?= 60
# what tests/torture can make fail
WRAP = $(patsubst %,-Wl$(comma)--wrap=%,socket connect poll getsockopt send recv close getaddrinfo freeaddrinfo open pread fstat \
	clock_gettime time getrandom br_ssl_engine_sendapp_ack)
comma = ,

$(TORTURE): tests/torture/torture.c $(wildcard tests/torture/*.h tests/integration/*.h) $(SUPPORT) compshare.h
	@mkdir -p $(@D)
	$(CC) $(POSIX) $(CFLAGS) -I. -Itests/integration -Itests/support -o $@ $< $(LIBS) $(WRAP)

check-programs: $(GATEWAY) $(RAW) certs $(EXAMPLES)

torture: setup-check
	@$(MAKE) --no-print-directory -s check-programs $(TORTURE)
	@$(CHECKS) sh tests/scripts/run.sh torture=$(TORTURE)

fuzz: setup-check
	@$(MAKE) --no-print-directory -s certs
	@$(CHECKS) sh tests/scripts/run.sh "fuzz=sh tests/scripts/fuzz.sh $(BUILD) $(TIME)"

coverage: setup-check
	@$(MAKE) --no-print-directory -s check-programs
	@$(CHECKS) TORTURE_LINK='$(WRAP)' sh tests/scripts/coverage.sh $(BUILD)

sanitize: setup-check
	@$(MAKE) --no-print-directory -s check-programs
	@$(CHECKS) sh tests/scripts/run.sh "sanitize=sh tests/scripts/sanitize.sh $(BUILD)"

# ---- figures ----

size:
	@mkdir -p $(BUILD)/size
	@CC="$(CC)" sh tests/scripts/size.sh $(BUILD)/size

# ---- benchmark ----

BENCH = $(BUILD)/bench
BENCH_STATIC = $(addprefix $(BENCH)/,ours ours-small ours-symbols floor run stop_scheduler)
BENCH_DYNAMIC = $(addprefix $(BENCH)/,ours-dynamic curl fleet parse warm relay)
# the stack is measured there
BENCH_TESTS = $(RAW) $(BUILD)/tests/integration/test_limits

setup-bench:
	@CC="$(CC)" sh tests/scripts/setup.sh bench

$(BENCH)/%: tests/bench/%.c tests/bench/bench.h compshare.h examples/static/build.sh
	@mkdir -p $(@D)
	CC="$(CC)" sh examples/static/build.sh program $(BUILD) $< $@ $(WARNINGS) -I$(BENCH)

$(BENCH)/ours-small: tests/bench/ours.c tests/bench/bench.h compshare.h examples/static/build.sh examples/static/small.c
	@mkdir -p $(@D)
	CC="$(CC)" sh examples/static/build.sh small $(BUILD) $< $@ $(WARNINGS)

$(BENCH)/stop_scheduler: examples/stop_scheduler.c compshare.h examples/static/build.sh examples/static/small.c
	@mkdir -p $(@D)
	CC="$(CC)" sh examples/static/build.sh small $(BUILD) $< $@ $(WARNINGS)

$(BENCH)/ours-symbols: tests/bench/ours.c tests/bench/bench.h compshare.h examples/static/build.sh
	@mkdir -p $(@D)
	CC="$(CC)" sh examples/static/build.sh program $(BUILD) $< $@ $(WARNINGS) -g

$(BENCH)/floor: $(BENCH)/roots.h

$(BENCH)/roots.h: $(CERTS) tests/bench/roots.py
	@mkdir -p $(@D)
	python3 tests/bench/roots.py $(BUILD)/tests/certs/roots.pem >$@

$(BENCH)/ours-dynamic: tests/bench/ours.c tests/bench/bench.h compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) -O2 -I. -o $@ $< -lbearssl

$(BENCH)/curl: tests/bench/curl.c tests/bench/bench.h
	@mkdir -p $(@D)
	$(CC) $(C99) -O2 -o $@ $< -lcurl -lcrypto

$(BENCH)/fleet $(BENCH)/parse $(BENCH)/warm: $(BENCH)/%: tests/bench/%.c $(SUPPORT) compshare.h
	@mkdir -p $(@D)
	$(CC) $(C99) -O2 -I. -o $@ $< -lbearssl

$(BENCH)/relay: tests/bench/relay.c
	@mkdir -p $(@D)
	$(CC) $(C99) -O2 -o $@ $<

# certificates first: what is compiled in of them must not be older
bench bench-counts bench-ir: setup-bench
	@$(MAKE) --no-print-directory -s certs
	@$(MAKE) --no-print-directory -s $(GATEWAY) $(BENCH_STATIC) $(BENCH_DYNAMIC) $(BENCH_TESTS)
	@CC="$(CC)" python3 tests/bench/bench.py $(patsubst bench-%,%,$(@:bench=all)) --build $(BUILD)

# the README's picture, of the last `make bench`
bench-plots:
	cp $(BUILD)/bench-ratios.svg tests/bench/ratios.svg

# ---- static files ----

setup-static:
	@CC="$(CC)" sh tests/scripts/setup.sh static

setup-release:
	@CC="$(CC)" sh tests/scripts/setup.sh release

# not remade by age: what CA= puts into them is not known from it
static: setup-static
	@CC="$(CC)" sh examples/static/build.sh static $(BUILD) "$(CA)"

release: setup-release
	@CC="$(CC)" sh examples/static/build.sh release $(BUILD) "$(CA)"

# ---- install ----

# by name: what is added to examples/ lands in nobody's bin directory
INSTALLED = compshare-schedule compshare-invoke stop_scheduler
MANUALS = compshare-schedule.1 compshare-invoke.1
PATTERNS = systemd/compshare-schedule.service systemd/compshare-schedule.timer \
	systemd/compshare-lease.service crontab
TO = $(DESTDIR)$(PREFIX)
BASH_DIR = $(TO)/share/bash-completion/completions
ZSH_DIR = $(TO)/share/zsh/site-functions
DOC_DIR = $(TO)/share/doc/compshare-schedule

install: $(INSTALLED:%=$(BUILD)/examples/%)
	mkdir -p $(TO)/include $(TO)/bin $(TO)/share/man/man1 $(BASH_DIR) $(ZSH_DIR) $(DOC_DIR)
	cp compshare.h $(TO)/include/compshare.h
	cp $^ $(TO)/bin/
	for f in $(MANUALS); do \
		sed 's|/usr/local|$(PREFIX)|g' examples/tools/$$f >$(TO)/share/man/man1/$$f || exit 1; done
	cp examples/completion/compshare-schedule.bash $(BASH_DIR)/compshare-schedule
	cp examples/completion/compshare-invoke.bash $(BASH_DIR)/compshare-invoke
	cp examples/completion/_compshare-schedule examples/completion/_compshare-invoke $(ZSH_DIR)/
	for f in $(PATTERNS); do \
		sed 's|/usr/local|$(PREFIX)|g' examples/$$f >$(DOC_DIR)/$${f##*/} || exit 1; done

uninstall:
	rm -f $(TO)/include/compshare.h $(INSTALLED:%=$(TO)/bin/%) $(MANUALS:%=$(TO)/share/man/man1/%)
	rm -f $(BASH_DIR)/compshare-schedule $(BASH_DIR)/compshare-invoke
	rm -f $(ZSH_DIR)/_compshare-schedule $(ZSH_DIR)/_compshare-invoke
	rm -f $(foreach f,$(PATTERNS),$(DOC_DIR)/$(notdir $(f)))
	! test -d $(DOC_DIR) || rmdir $(DOC_DIR)

clean:
	rm -rf $(BUILD)
