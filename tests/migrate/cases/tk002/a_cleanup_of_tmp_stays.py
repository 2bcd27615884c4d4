# case: options TK002
import shutil
from pathlib import Path


def clean_temp_dir():
    """Remove what get_temp_dir has made."""
    temp_base = Path(".tmp")
    if temp_base.exists():
        shutil.rmtree(temp_base)
