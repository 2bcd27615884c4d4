try:
    from tempfile import gettempdir
except ImportError:
    from mine import gettempdir

print(gettempdir())
