"""A `NamedTuple` that is quick to define, for modules that every command loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:
    # `typing` has loaded this already; its getters are as quick as slots.
    from collections import _tuplegetter
    from types import FunctionType

    def _make(cls, values):
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    def _replace(self, /, **changes):
        made = self._make(map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return made

    def _values(self):
        return tuple(self)

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def _repr(self):
        values = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
        return f"{type(self).__name__}({values})"

    _SHARED = {
        "__slots__": (),
        "__doc__": None,
        "__getnewargs__": _values,  # for `copy` and `pickle`
        "__repr__": _repr,
        "_asdict": _asdict,
        "_make": classmethod(_make),
        "_replace": _replace,
    }
    _GLOBALS = {"_new": tuple.__new__, "__builtins__": {}}
    _codes = {}

    def _constructor(cls_name, fields, defaults):
        """A `__new__` with these fields; its code is compiled once for each number of fields."""
        count = len(fields)
        if count not in _codes:
            names = "".join(f"_{index}, " for index in range(count))
            _codes[count] = eval(f"lambda _cls, {names}: _new(_cls, ({names}))").__code__  # noqa: S307
        code = _codes[count].replace(
            co_name="__new__", co_qualname=f"{cls_name}.__new__", co_varnames=("_cls", *fields)
        )
        return FunctionType(code, _GLOBALS, "__new__", defaults)

    class _Definition(type):
        """Turns a class body into a named tuple, as `typing` does.

        `typing` compiles a constructor, six methods and each annotation for every class: with 40
        classes, that takes a twentieth of the time of a command.
        """

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = tuple(body["__annotations__"])
            defaults = {field: body[field] for field in fields if field in body}
            own = {
                "_fields": fields,
                "_field_defaults": defaults,
                "__match_args__": fields,
                "__new__": _constructor(name, fields, tuple(defaults.values())),
            }
            getters = {field: _tuplegetter(index, "") for index, field in enumerate(fields)}
            return type(name, (tuple,), {**_SHARED, **body, **own, **getters})

    class NamedTuple(metaclass=_Definition):
        """The base of named tuples; see `typing.NamedTuple`."""
