#!/usr/bin/env python3
"""coverage.py HEADER EXCUSES PRODUCT_JSON PLAINTEXT_JSON

Adds up gcovr's reports of the two forms in which the header is compiled, prints lines
and branches by room, and fails unless every line was run and every branch taken or
excused. An excuse is one line of EXCUSES:

    function | part of the source line | branches never taken | reason
"""
import json
import re
import sys

MOST = 0.02     # of all branches may be excused


def rooms(source):
    """The room and the function that every line stands in."""
    room = function = ''
    places = {}
    for number, line in enumerate(source, 1):
        banner = re.match(r'/\* ==== (\w+) =', line)
        if banner:
            room = banner.group(1)
        definition = re.match(r'(?:static|COMPSHARE__DEF) .*?\b(compshare_\w+)\(', line)
        if definition:
            function = definition.group(1)
        places[number] = (room, function)
    return places


def read(path):
    """Line number -> times run, times each branch was taken."""
    with open(path, encoding='utf-8') as report:
        files = json.load(report)['files']
    return {line['line_number']: (line['count'], [branch['count'] for branch in line['branches']])
            for file in files for line in file['lines'] if not line.get('gcovr/noncode')}


def add(product, plaintext):
    """One figure for both forms; where their branches differ, the product's count."""
    total = dict(plaintext)
    for number, (count, branches) in product.items():
        other_count, other = plaintext.get(number, (0, []))
        if len(branches) == len(other):
            branches = [a + b for a, b in zip(branches, other)]
        total[number] = (count + other_count, branches or other)
    return total


def read_excuses(path):
    excuses = []
    with open(path, encoding='utf-8') as text:
        for line in text:
            if line.strip() and not line.startswith('#'):
                function, part, branches, reason = [field.strip() for field in line.split(' | ', 3)]
                assert reason, line
                excuses.append({'function': function, 'part': part, 'branches': int(branches), 'used': False})
    return excuses


def excused(excuses, function, line):
    for excuse in excuses:
        if excuse['function'] == function and excuse['part'] in line and not excuse['used']:
            excuse['used'] = True
            return excuse['branches']
    return 0


def main(header, excuse_file, product, plaintext):
    with open(header, encoding='utf-8') as text:
        source = text.read().split('\n')
    places = rooms(source)
    excuses = read_excuses(excuse_file)
    table, faults = {}, []
    for number, (count, branches) in sorted(add(read(product), read(plaintext)).items()):
        room, function = places[number]
        line = source[number - 1].strip()
        missed = branches.count(0)
        pardoned = excused(excuses, function, line) if missed else 0
        row = table.setdefault(room, [0, 0, 0, 0, 0])
        for i, n in enumerate((1, int(count > 0), len(branches), len(branches) - missed, min(pardoned, missed))):
            row[i] += n
        if count == 0:
            faults.append(f'{header}:{number}: never run: {line}')
        elif missed > pardoned:
            faults.append(f'{header}:{number}: {missed - pardoned} of {len(branches)} branches never taken: {line}')
        elif missed < pardoned:
            faults.append(f'{header}:{number}: excused for {pardoned} branches, misses {missed}: {line}')
    for excuse in excuses:
        if not excuse['used']:
            faults.append(f'{excuse_file}: nothing to excuse in {excuse["function"]}: {excuse["part"]}')
    total = [sum(column) for column in zip(*table.values())]
    for room, row in list(table.items()) + [('all', total)]:
        print(f'{room:10} lines {row[1]:5} of {row[0]:5}   branches {row[3]:5} of {row[2]:5}   excused {row[4]:3}')
    if total[4] > MOST * total[2]:
        faults.append(f'{total[4]} branches are excused, more than {MOST:.0%} of {total[2]}')
    print('\n'.join(faults))
    if not faults:
        print(f'# figure: coverage: lines {100 * total[1] / total[0]:.2f} %, branches {100 * total[3] / total[2]:.2f} %, '
              f'excused {100 * total[4] / total[2]:.2f} %')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:5]))
