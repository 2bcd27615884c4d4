"""`NamedTuple` for the modules that every command loads, where it is quick to define."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    from collections import namedtuple

    class _Definition(type):
        """Turns the body of a class into a named tuple, as `typing` does.

        That one also compiles each annotation, which takes longer than all else: with 40 of them, a
        fortieth of a whole command.
        """

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            defaults = [body[field] for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in fields and key != "__module__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Definition):
        """The base of named tuples; see `typing.NamedTuple`."""
