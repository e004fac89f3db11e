#!/usr/bin/env python3
"""rooms.py [-v] [--table] [--root DIRECTORY]: checks how compshare.h is built. Speaks TAP.

The header is read room by room: a room begins at its banner `/* ==== name ====` and
ends at the next. What is refused:

  - a private name compshare__x_* or COMPSHARE__X_* in a room not called x (the room
    `limits` may hold every constant; EXCEPTIONS has those that are still to be renamed)
  - the use of a function that is defined in a room further down; a forward declaration
  - a function of more than FUNCTION_LINES lines, here or in the test servers
  - more long lines than LONG_LINES allows

LONG_LINES and LONG_TEST_LINES may only be lowered, EXCEPTIONS only lose entries. Figures
about the whole follow; -v lists the places behind them. --table prints EXCEPTIONS as it
would have to be now. Copies of the header with a fault each prove that faults are seen.
"""
import argparse
import collections
import glob
import os
import re
import statistics
import sys
import textwrap

COLUMNS = 100               # of compshare.h
TEST_COLUMNS = 120          # of the tests
FUNCTION_LINES = 40         # from the first line of the signature to the last brace

# how many lines may still be longer; the aim is 0
LONG_LINES = 0
LONG_TEST_LINES = 411

# room: prefixes of other rooms that still stand in it
EXCEPTIONS = {
    # the parts that a client is made of, named after what they are or the room that works on them
    'client': 'account attempt body change clock connection exchange ids list phase projects recent '
        'reply request search status step task wait',
}

SERVERS = ['tests/gateway/gateway.c', 'tests/raw/raw_server.c']

Function = collections.namedtuple('Function', 'name room first last parameters body commented')
Name = collections.namedtuple('Name', 'name room line')


def blank(text):
    """The text without comments and literals; every line stays where it was."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  lambda m: re.sub(r'[^\n]', ' ', m.group()), text, flags=re.S)


def directives(code):
    """The directives of a text with their line numbers, and the text without them."""
    found = []

    def take(match):
        found.append((code.count('\n', 0, match.start()) + 1, match.group()))
        return re.sub(r'[^\n]', ' ', match.group())
    return re.sub(r'^[ \t]*#(?:\\\n|[^\n])*', take, code, flags=re.M), found


def parameters(text):
    """The parameters in the brackets of a signature."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in '([') - (c in ')]')
        if c == ',' and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    parts = [' '.join(p.split()) for p in parts]
    return [] if parts in ([''], ['void']) else parts


class Source:
    """A C file: its rooms, its functions and its private names."""

    def __init__(self, text, implementation=1):
        self.lines = text.split('\n')
        self.rooms, self.room_of = [], []       # names in order; the room of each line
        room = ''
        for number, line in enumerate(self.lines, 1):
            banner = re.match(r'/\* ==== (\w+) =', line)
            if banner:
                room = banner.group(1)
                self.rooms.append(room)
            self.room_of.append(room)
        self.code_with_directives = blank(text)
        self.code, self.directives = directives(self.code_with_directives)
        self.first = implementation
        self.functions, self.declarations, self.names = [], [], []
        self.read_top_level()
        self.read_macros()

    def room(self, line):
        return self.room_of[line - 1]

    def read_top_level(self):
        """Cuts what stands outside of braces into definitions and declarations."""
        code, depth, start, opened = self.code, 0, 0, 0
        for match in re.finditer(r'[{};]', code):
            c, at = match.group(), match.start()
            if c == '{':
                if depth == 0 and re.search(r'\bextern\s*$', code[start:at]):
                    start = match.end()         # extern "C" { is not a block
                    continue
                if depth == 0:
                    opened = at
                depth += 1
            elif c == '}' and depth > 0:
                depth -= 1
                if depth == 0 and re.search(r'\)\s*$', code[start:opened]):
                    self.add_function(start, opened, match.end())
                    start = match.end()
            elif depth == 0:
                self.add_declaration(start, at)
                start = match.end()

    def line_at(self, offset):
        return self.code.count('\n', 0, offset) + 1

    def add_function(self, start, opened, end):
        start += len(self.code[start:opened]) - len(self.code[start:opened].lstrip())
        signature = self.code[start:opened]
        named = re.search(r'(\w+)\s*\(', signature)
        if named is None:
            return
        first = self.line_at(start)
        above = first - 1
        while above > 0 and self.lines[above - 1].startswith('#'):
            above -= 1
        commented = above > 0 and self.lines[above - 1].rstrip().endswith('*/')
        inside = signature[named.end():signature.rindex(')')]
        self.functions.append(Function(named.group(1), self.room(first), first, self.line_at(end - 1),
                                       parameters(inside), self.code[opened:end], commented))
        self.names.append(Name(named.group(1), self.room(first), first))

    def add_declaration(self, start, end):
        """A typedef, an enum, a table, or a function that is declared only."""
        text = self.code[start:end]
        stripped = text.strip()
        line = self.line_at(start + len(text) - len(text.lstrip()))
        outside = re.sub(r'\{.*\}', ' ', text, flags=re.S)
        prototype = re.search(r'\b(compshare_\w+)\s*\([^)]*\)\s*$', outside)
        if prototype and not stripped.startswith('typedef') and '=' not in outside:
            self.declarations.append(Name(prototype.group(1), self.room(line), line))
            return
        names = re.findall(r'\bcompshare__\w+', outside if stripped.startswith('typedef') else outside.split('=')[0])
        if stripped.startswith('typedef') and names:
            pointer = re.search(r'\(\s*\*\s*(compshare__\w+)', outside)
            self.names.append(Name(pointer.group(1) if pointer else names[-1], self.room(line), line))
        elif stripped.startswith('static') and names:
            self.names.append(Name(names[-1], self.room(line), line))
        enum = re.search(r'\benum\b[^{]*\{(.*)\}', text, re.S)
        if enum:
            for value in re.finditer(r'(?:^|,)\s*(\w+)', enum.group(1)):
                at = self.line_at(start + enum.start(1) + value.start(1))
                self.names.append(Name(value.group(1), self.room(at), at))

    def read_macros(self):
        """Macros; one that is undefined again in the same room is nobody's."""
        gone = {(m.group(1), self.room(line)) for line, text in self.directives
                for m in [re.match(r'\s*#\s*undef\s+(\w+)', text)] if m}
        for line, text in self.directives:
            defined = re.match(r'\s*#\s*define\s+(\w+)', text)
            if defined and (defined.group(1), self.room(line)) not in gone:
                self.names.append(Name(defined.group(1), self.room(line), line))


class Header(Source):
    """compshare.h; only its implementation is judged."""

    def __init__(self, text):
        mark = text.index('#if defined(COMPSHARE_IMPLEMENTATION)')
        super().__init__(text, text.count('\n', 0, mark) + 1)
        self.functions = [f for f in self.functions if f.first > self.first]
        self.floor = {room: i for i, room in enumerate(self.rooms)}
        self.home = {f.name: f.room for f in self.functions}

    def exceptions(self):
        """room -> prefix -> names that are not its own."""
        found = collections.defaultdict(lambda: collections.defaultdict(set))
        for n in self.names:
            private = re.match(r'(?:compshare__|COMPSHARE__)([A-Za-z0-9]+)', n.name)
            if n.line <= self.first + 1 or not private or n.room == 'limits':
                continue
            prefix = private.group(1).lower()
            if prefix not in (n.room, 'assert'):
                found[n.room][prefix].add(n.name)
        return found

    def foreign(self):
        return ['%s: %s' % (room, ', '.join(sorted(names))) for room, prefixes in sorted(self.exceptions().items())
                for prefix, names in sorted(prefixes.items()) if prefix not in EXCEPTIONS.get(room, '').split()]

    def upward(self):
        """Uses of a function of a room further down."""
        found = []
        for number, line in enumerate(self.code_with_directives.split('\n'), 1):
            if number <= self.first:
                continue
            for name in re.findall(r'\bcompshare_\w+', line):
                if self.floor.get(self.home.get(name), -1) > self.floor.get(self.room(number), -1):
                    found.append('line %d: %s uses %s of %s' % (number, self.room(number), name, self.home[name]))
        return found

    def declared(self):
        return ['line %d: %s' % (d.line, d.name) for d in self.declarations if d.line > self.first]

    def long_functions(self):
        return ['line %d: %s, %d lines' % (f.first, f.name, lines_of(f)) for f in self.functions
                if lines_of(f) > FUNCTION_LINES]

    def long_lines(self):
        return ['line %d: %d columns' % (i, len(line)) for i, line in enumerate(self.lines, 1) if len(line) > COLUMNS]

    def faults(self):
        """Each rule with what breaks it; a rule with a bound lists nothing until it is passed."""
        long_lines = self.long_lines()
        return [
            ('private names stand in their rooms', self.foreign()),
            ('no room uses a room below it', self.upward()),
            ('no function is declared before it is defined', self.declared()),
            ('no function is over %d lines' % FUNCTION_LINES, self.long_functions()),
            ('at most %d lines are over %d columns' % (LONG_LINES, COLUMNS),
             long_lines if len(long_lines) > LONG_LINES else []),
        ]


def lines_of(function):
    return function.last - function.first + 1


# ---- figures ----

def reaches(header):
    """What is used of another room's type, through a pointer to it or a part of the client:
    (the room that uses it, the type's room) -> times."""
    home = {n.name: n.room for n in header.names}
    for kind in list(home):     # a type may be defined where it is needed, and still be of the room that it names
        home[kind] = kind[len('compshare__'):] if kind[len('compshare__'):] in header.floor else home[kind]
    client = re.search(r'\bstruct compshare \{(.*?)\n\}', header.code, re.S)
    parts = re.findall(r'\b(compshare__\w+)\s+(\w+);', client.group(1)) if client else []
    found = collections.Counter()
    for f in header.functions:
        text = ', '.join(f.parameters) + ';' + f.body
        pointers = {name: kind for kind, name in re.findall(r'\b(compshare__\w+)\s*\*\s*(\w+)', text)}
        for name, kind in pointers.items():
            if home.get(kind, f.room) not in (f.room, 'limits'):
                found[f.room, home[kind]] += len(re.findall(r'(?<![\w.>])%s->' % name, f.body))
        for kind, name in parts:
            if home.get(kind, f.room) != f.room:
                found[f.room, home[kind]] += len(re.findall(r'->%s\.' % name, f.body))
    return +found


def comment_share(header):
    """Lines of the implementation that hold nothing but comment."""
    code = header.code_with_directives.split('\n')
    lines = range(header.first, len(header.lines))
    return 100.0 * sum(1 for i in lines if header.lines[i].strip() and not code[i].strip()) / len(lines)


def counted(counter):
    return ', '.join('%s %d' % (key, n) for key, n in counter)


def figures(header, verbose):
    functions = header.functions
    lengths = [lines_of(f) for f in functions]
    whole = [f for f in functions if any(re.match(r'(const )?compshare \*', p) for p in f.parameters)]
    bare = [f for f in functions if lines_of(f) >= 10 and not f.commented]
    inside = collections.Counter(header.room_of)
    reach = reaches(header)
    used = collections.Counter()
    for (user, room), n in reach.items():
        used[room] += n
    yield 'names in a room that is not theirs', sum(len(v) for p in header.exceptions().values() for v in p.values())
    yield 'prefixes in EXCEPTIONS', sum(len(v.split()) for v in EXCEPTIONS.values())
    gone = ['%s: %s' % (room, prefix) for room, prefixes in EXCEPTIONS.items() for prefix in prefixes.split()
            if prefix not in header.exceptions().get(room, {})]
    if gone:
        yield 'EXCEPTIONS that can go', ', '.join(gone)
    yield 'lines over %d columns' % COLUMNS, '%d of %d' % (len(header.long_lines()), LONG_LINES)
    yield 'functions', '%d; median %g lines, longest %d' % (len(functions), statistics.median(lengths), max(lengths))
    yield 'parameters', counted(sorted(collections.Counter(len(f.parameters) for f in functions).items()))
    yield 'functions that take the whole client', len(whole)
    yield 'lines of comment in the implementation', '%.1f %%' % comment_share(header)
    yield 'functions of 10 lines or more without a comment', len(bare)
    yield 'reaches into another room', '%d (%s)' % (sum(reach.values()), counted(used.most_common()))
    for part in ('tls', 'task'):
        yield 'uses of c->%s outside %s' % (part, part), sum(
            len(re.findall(r'\bc->%s\.' % part, f.body)) for f in functions if f.room != part)
    yield 'lines of each room', counted([(room, inside[room]) for room in header.rooms])
    if verbose:
        for f in bare:
            yield 'no comment', '%s, line %d, %d lines' % (f.name, f.first, lines_of(f))
        for (user, room), n in reach.most_common():
            yield 'reaches', '%s into %s: %d' % (user, room, n)
        for room, prefixes in header.exceptions().items():
            for prefix, names in sorted(prefixes.items()):
                yield 'not of %s' % room, ' '.join(sorted(names))


# ---- tests ----

def servers(root):
    """Functions of the test servers that are too long."""
    found = []
    for name in SERVERS:
        with open(os.path.join(root, name), encoding='utf-8') as file:
            found += ['%s, line %d: %s, %d lines' % (name, f.first, f.name, lines_of(f))
                      for f in Source(file.read()).functions if lines_of(f) > FUNCTION_LINES]
    return found


def long_test_lines(root):
    found = []
    for name in sorted(glob.glob(os.path.join(root, 'tests/**/*'), recursive=True)):
        if name.endswith(('.c', '.h', '.py', '.sh')):
            with open(name, encoding='utf-8') as file:
                found += ['%s, line %d: %d columns' % (os.path.relpath(name, root), i, len(line.rstrip('\n')))
                          for i, line in enumerate(file, 1) if len(line.rstrip('\n')) > TEST_COLUMNS]
    return found


# ---- the counter-test ----

def spoiled(text):
    """Copies of the header with one fault each."""
    header = Header(text)
    last, upper = header.functions[-1], header.rooms[header.floor['limits'] + 1]
    end = next(i for i, room in enumerate(header.room_of) if room == header.rooms[header.floor[upper] + 1])

    def with_lines(*lines):
        return '\n'.join(header.lines[:end] + list(lines) + header.lines[end:])
    yield 'a call of a room below', with_lines('static void compshare__%s_up(void) { (void)%s; }' % (upper, last.name))
    yield 'a function under a name of another room', with_lines('static void compshare__zzz_up(void) { }')
    yield 'a type under a name of another room', with_lines('typedef struct compshare__zzz { int i; } compshare__zzz;')
    yield 'a constant under a name of another room', with_lines('#define COMPSHARE__ZZZ 1')
    yield 'an enumerator under a name of another room', with_lines('enum { COMPSHARE__ZZZ };')
    yield 'a forward declaration', with_lines('static int %s(int i);' % last.name)
    yield 'a long function', with_lines('static void compshare__%s_long(void) {' % upper, *[''] * FUNCTION_LINES, '}')
    yield 'long lines', with_lines(*['/*' + ' ' * COLUMNS + '*/'] * (LONG_LINES + 1))


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument('-v', action='store_true', dest='verbose')
    parser.add_argument('--table', action='store_true')
    parser.add_argument('--root', default=os.path.join(here, '../..'))
    args = parser.parse_args()
    with open(os.path.join(args.root, 'compshare.h'), encoding='utf-8') as file:
        text = file.read()
    header = Header(text)
    if args.table:
        for room, prefixes in sorted(header.exceptions().items(), key=lambda item: header.floor[item[0]]):
            entry = textwrap.wrap("'%s': '%s'," % (room, ' '.join(sorted(prefixes))), TEST_COLUMNS - 20)
            print('    ' + " '\n        '".join(entry))
        return 0
    long_tests = long_test_lines(args.root)
    rules = header.faults() + [
        ('no function of the test servers is over %d lines' % FUNCTION_LINES, servers(args.root)),
        ('at most %d lines of tests are over %d columns' % (LONG_TEST_LINES, TEST_COLUMNS),
         long_tests if len(long_tests) > LONG_TEST_LINES else [])]
    before = [len(places) for rule, places in header.faults()]
    for fault, copy in spoiled(text):
        worse = any(len(places) > n for (rule, places), n in zip(Header(copy).faults(), before))
        rules.append(('refused: ' + fault, [] if worse else ['it was not']))
    failed = 0
    for number, (rule, places) in enumerate(rules, 1):
        print('%sok %d - %s' % ('not ' if places else '', number, rule))
        for place in places[:20]:
            print('# ' + place)
        failed += bool(places)
    print('1..%d' % len(rules))
    for what, value in figures(header, args.verbose):
        print('# figure: house: %s: %s' % (what, value))
    print('# figure: house: lines of tests over %d columns: %d of %d' % (
        TEST_COLUMNS, len(long_tests), LONG_TEST_LINES))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
