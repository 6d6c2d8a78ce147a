"""Which code of somebody's own a run folder's declaration names, and where it was found.

A declaration names functions as `module:name`, and to read it again is to import and to call them.
So a search seals the names that it was declared with, by a key of its user's, and the other
commands import nothing that a run folder of somebody else's names, or one that was tampered with,
until `run_search.py trust RUN_FOLDER` seals it.
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from deap_nas import user_modules
from deap_nas.output import as_argument
from deap_nas.plain_tables import texts
from toolbox.whole_file import write_whole

FILE = "user_modules.json"  # {"names": [...], "folders": {module: its folder}, "seal": "..."}
KEY_BYTES = 32
THIS_PROCESS = secrets.token_bytes(KEY_BYTES)  # the key where none can be kept

log = logging.getLogger(__name__)


def names_in(value: Any) -> set[str]:
    """Every `module:name` anywhere in the tables of a declaration.

    >>> names_in({"select": {"use": "mine.more:best"}, "root": "C:/data", "map": "serial"})
    {'mine.more:best'}
    """
    return {text for _, text in texts(value) if _is_name(text)}


def remember(path: Path, tables: Mapping[str, Any]) -> None:
    """Write into a run folder what its declaration names, and where it was imported from.

    tables: of the declaration that a search of this user's was started with.
    """
    names = sorted(names_in(tables))
    found = {}
    for name in dict.fromkeys(name.partition(":")[0] for name in names):
        top = sys.modules.get(name.partition(".")[0])
        if top is not None and getattr(top, "__file__", None):
            file = Path(str(top.__file__)).absolute()
            found[name] = str(file.parents[1] if file.name == "__init__.py" else file.parent)
    if names:
        seal(path, names, found)


def seal(path: Path, names: list[str], folders: Mapping[str, str]) -> None:
    """Write into a run folder that these names may be imported, from these folders too."""
    key = _key(make=True)
    if key is None:
        log.warning("%s: it cannot be kept, so no later command will trust %s", _key_file(), path)
    sealed = _seal(key or THIS_PROCESS, names, folders)
    told = {"names": names, "folders": folders, "seal": sealed}
    write_whole(path / FILE, json.dumps(told, indent=1))


def admit_again(path: Path) -> None:
    """Let the modules of a run folder's declaration be imported from where they were found.

    What is found in another way comes first.  A folder that is not there any more is left out.
    Raises ValueError, one line, if the declaration names what no search of this user's named.
    """
    names = declared_names(path)
    if not names:
        return
    told = _told(path)
    if strange := names - set(told.get("names", ())):
        raise ValueError(
            f"{path}: its declaration names code ({', '.join(map(ascii, sorted(strange)))}), and "
            "no search of yours on this machine has written it so; look at declaration.toml, and "
            f"if you trust it: run_search.py trust {as_argument(path)}"
        )
    folders = [Path(folder) for folder in dict.fromkeys(told["folders"].values())]
    user_modules.admit(*(folder for folder in folders if folder.is_dir()))


def declared_names(path: Path) -> set[str]:
    """What the declaration in a run folder names; nothing of one that cannot be read."""
    try:
        return names_in(tomllib.loads((path / "declaration.toml").read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return set()  # who reads it tells why


def _told(path: Path) -> dict[str, Any]:
    """What a run folder's file tells, if a user's own seal is on it."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        told: dict[str, Any] = json.loads((path / FILE).read_text(encoding="utf-8"))
        for key in (_key(), THIS_PROCESS):
            sealed = _seal(key, told["names"], told["folders"]) if key else ""
            if key and hmac.compare_digest(told["seal"], sealed):
                return told
    return {}


def _seal(key: bytes, names: Any, folders: Any) -> str:
    text = json.dumps([names, folders], sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _key_file() -> Path:
    return Path(platformdirs.user_data_dir("deap-nas"), "seal.key")


def _key(make: bool = False) -> bytes | None:
    """The key of this user's seals, made if asked; None if there is none."""
    path = _key_file()
    with suppress(OSError):
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}")
            part.touch(mode=0o600)
            part.write_bytes(secrets.token_bytes(KEY_BYTES))
            with suppress(FileExistsError):  # another search was as quick
                os.link(part, path)
            part.unlink()
        key = path.read_bytes()
        return key if len(key) == KEY_BYTES else None
    return None


def _is_name(text: str) -> bool:
    module, _, name = text.partition(":")
    return bool(module and name and not {"/", "\\"} & set(text))
