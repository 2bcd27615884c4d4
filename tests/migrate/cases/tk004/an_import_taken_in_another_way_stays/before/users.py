import second as two
from first import (
    work,  # which works, of
    tempfile,
)

print(two.tempfile.gettempdir(), tempfile.gettempdir(), work)
