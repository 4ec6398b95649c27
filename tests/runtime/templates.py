"""Chat templates that attack whoever renders them (S12): sixty ways out of the sandbox, and ways to
run for ever or to fill the memory. Used by test_hostile_templates.py beside this file."""

from __future__ import annotations

import itertools

# Ways from a value at hand to Python's insides, and from there to running something.
_STARTS = (
    *("''", "[]", "{}", "()", "1", "messages", "messages[0]", "cycler", "joiner", "namespace"),
    *("dict", "range", "raise_exception", "strftime_now", "self", "loop", "caller", "request"),
)
_PATHS = (
    "{X}.__class__.__mro__[1].__subclasses__()",
    "{X}['__class__']['__base__']['__subclasses__']()",
    "{X}|attr('__class__')|attr('__mro__')|last|attr('__subclasses__')",
    "{X}.__init__.__globals__['__builtins__']['__import__']('os').popen('id').read()",
    "{X}.__init__.__globals__.os.system('id')",
    "{X}.__call__.__self__.__dict__",
    "{X}.format.__globals__",
    "{X}|map(attribute='__class__')|list",
)
ESCAPES = [
    "{{ " + path.replace("{X}", start) + " }}"
    for start, path in itertools.product(_STARTS, _PATHS[:4])
] + [
    "{{ '{0.__class__.__mro__}'.format(1) }}",
    "{{ '{x.__init__.__globals__}'.format(x=cycler) }}",
    "{{ '%s'|format(messages.__class__) }}",
    "{{ self._TemplateReference__context.cycler.__init__.__globals__.os }}",
    "{{ self.__init__.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ config.__class__.from_object('os') }}",
    "{{ messages.append({}) }}",
    "{{ messages[0].update(role='x') }}",
    "{{ messages[0].__setitem__('role', 'x') }}",
    "{{ messages.clear() }}",
    "{{ (messages|map('attr', '__class__')|first).__name__ }}",
    "{% import 'os' as os %}{{ os }}",
    "{% include '/etc/passwd' %}",
    "{% extends '/etc/passwd' %}",
    "{% from 'os' import system %}{{ system('id') }}",
    "{{ import_module('os') }}",
    "{{ open('/etc/passwd').read() }}",
    "{{ eval('1') }}",
    "{{ ''.join.__self__.__class__.__base__.__subclasses__() }}",
    "{% set x = namespace() %}{% set x.__class__ = 1 %}{{ x.__class__.__init__.__globals__ }}",
    "{{ strftime_now.__self__.__loader__ }}",
    "{{ dict.__base__.__subclasses__() }}",
    "{{ range.__class__.mro(range) }}",
]

_DOUBLE = "{% set n = namespace(x='A') %}{% for i in range(60) %}{% set n.x = X %}{% endfor %}"
_LEVELS = "".join(f"{{% set l{n + 1} = [l{n}, l{n}] %}}" for n in range(60))
BOMBS = {
    "repetition": "{{ 'A' * 10 ** 9 }}",
    "repetition from the left": "{{ 10 ** 9 * 'A' }}",
    "repetition of a list": "{{ [1] * 10 ** 9 }}",
    "repetition of a repetition": "{{ ((['A' * 1000] * 1000) * 1000)|string }}",
    "a format": "{{ '%1000000000d' % 1 }}",
    "a format's filter": "{{ '%1000000000d'|format(1) }}",
    "a format's method": "{{ '{:1000000000}'.format(1) }}",
    "a format's nested width": "{{ '{:{}}'.format(1, 1000000000) }}",
    "a power": "{{ 9 ** 999999999 }}",
    "powers of powers": "{% set x = 9 ** 64 %}" + "{% set x = x ** 64 %}" * 9 + "{{ x }}",
    "squares of squares": "{% set n = namespace(x=9) %}{% for i in range(90) %}"
    "{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "loops over one list": "{% set r = range(9999)|list %}"
    + "{% for a in r %}" * 4
    + "{% endfor %}" * 4,
    "loops that write": "{% for a in range(99999) %}{{ 'x' * 999 }}{% endfor %}",
    "a long range": "{% for a in range(9999999) %}{% endfor %}",
    "a macro within itself": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "macros that branch": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}"
    "{% endmacro %}{{ f(60) }}",
    "a loop within itself": "{% for a in [[]] recursive %}{{ loop([[]]) }}{% endfor %}",
    "doubling by ~": _DOUBLE.replace("X", "n.x ~ n.x"),
    "doubling by +": _DOUBLE.replace("X", "n.x + n.x"),
    "doubling by join": _DOUBLE.replace("X", "[n.x, n.x]|join"),
    "doubling by replace": _DOUBLE.replace("X", "n.x|replace('A', 'AA')"),
    "doubling by a method": _DOUBLE.replace("X", "n.x.replace('A', 'AA')"),
    "doubling by a joining method": _DOUBLE.replace("X", "n.x.join(['A', n.x])"),
    "padding": "{{ 'A'|center(1000000000) }}",
    "a padding method": "{{ 'A'.ljust(1000000000) }}",
    "zeros": "{{ 'A'.zfill(1000000000) }}",
    "tabs": "{{ '\t'.expandtabs(1000000000) }}",
    "indentation": "{{ ('a\n' * 9999)|indent(1000000000) }}",
    "indentation of JSON": "{{ [1]|tojson(indent=1000000000) }}",
    "an indentation of JSON by text": "{{ [[1]]|tojson(indent='A' * 999999) }}",
    "batches": "{{ [1]|batch(1000000000, 'x')|list }}",
    "slices": "{{ [1]|slice(1000000000)|list }}",
    "digits": "{{ 1.5|round(1000000000, 'ceil') }}",
    "filler": "{{ lipsum(n=100000) }}",
    "lists of lists": "{% set l0 = [1] %}" + _LEVELS + "{{ l60 }}",
    "lists of lists as JSON": "{% set l0 = [1] %}" + _LEVELS + "{{ l60|tojson }}",
    "lists of lists compared": "{% set l0 = [1] %}" + _LEVELS + "{{ l60 == l59 }}",
    "namespaces of namespaces": "{% set a = namespace() %}"
    + "{% set a = namespace(x=a, y=a) %}" * 60
    + "{{ a }}",
    "a sum of lists": "{{ ([[1]] * 99999)|sum(start=[]) }}",
    "words": "{{ ('a ' * 400000)|wordwrap(1) }}",
    "an error": "{{ 1 / 0 }}",
    "a refusal": "{{ raise_exception('no') }}",
}
