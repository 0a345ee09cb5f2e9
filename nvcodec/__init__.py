"""nvcodec: a video codec whose bitstream is small neural networks.

    encode(source, target, settings)     any video file to an .nvc file
    decode(file)                         the frames of an .nvc file, one after the other
    open(file)                           the same with seeking, time and colour information, and hashes
    info(file)                           what is in it and where its bytes went; needs neither torch nor numpy

and the types these take and give: EncodeSettings, Video, Frame, VideoInfo, Survey, NvcodecError. Everything is imported
when it is first used, so that `import nvcodec` costs nothing.

`encode` and `decode` are also the names of the subpackages behind them; these are callable, so both uses work:
`nvcodec.decode("a.nvc")` and `from nvcodec.decode.decoder import Decoder`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvcodec.api import Video, info
    from nvcodec.api import Video as open
    from nvcodec.bitstream.survey import Survey
    from nvcodec.encode.settings import EncodeSettings
    from nvcodec.errors import NvcodecError
    from nvcodec.video import Frame, VideoInfo

__version__ = "0.1.0"

__all__ = [
    "EncodeSettings",
    "Frame",
    "NvcodecError",
    "Survey",
    "Video",
    "VideoInfo",
    "decode",
    "encode",
    "info",
    "open",
]

_CALLABLE = ("decode", "encode")
_PLACES = {
    "EncodeSettings": ("nvcodec.encode.settings", "EncodeSettings"),
    "Frame": ("nvcodec.video", "Frame"),
    "NvcodecError": ("nvcodec.errors", "NvcodecError"),
    "Survey": ("nvcodec.bitstream.survey", "Survey"),
    "Video": ("nvcodec.api", "Video"),
    "VideoInfo": ("nvcodec.video", "VideoInfo"),
    "info": ("nvcodec.api", "info"),
    "open": ("nvcodec.api", "Video"),
}


class _CallablePackage(ModuleType):
    """A subpackage that is called as the function of its name in `nvcodec.api`."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(import_module("nvcodec.api"), self.__name__.rpartition(".")[2])(*args, **options)


class _Package(ModuleType):
    """This package. The import system sets a subpackage as its attribute; two of them become callable there."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _CALLABLE and isinstance(value, ModuleType):
            value.__class__ = _CallablePackage
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name in _CALLABLE:
        return import_module(f"{__name__}.{name}")
    if name in _PLACES:
        module, attribute = _PLACES[name]
        value = getattr(import_module(module), attribute)
        setattr(sys.modules[__name__], name, value)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


sys.modules[__name__].__class__ = _Package
