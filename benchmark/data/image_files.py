"""Reading images from files, within limits that are checked before anything is decoded."""

import io
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.source_files import SourceFile

LARGEST_FILE = 64 * 2**20
MOST_PIXELS = 50_000_000
SHORTEST_SIDE = 8
EIGHT_BIT_MODES = frozenset(("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"))

Check = Callable[[SourceFile, tuple[int, int]], None]


def read_images(
    files: Sequence[SourceFile], size: int, name: str, check: Check | None = None, format: str = "JPEG"
) -> NDArray[np.uint8]:
    """RGB images `(n, size, size, 3)` of files in one format, resized by antialiased bilinear interpolation.

    A picture is turned upright where its file says how. `check` sees each file with the picture's original
    `(width, height)`. Raises UsageError naming a file that is damaged, moving, not of 8 bits, or beyond reason.
    """
    images = np.empty((len(files), size, size, 3), dtype=np.uint8)

    def read_block(block: range) -> int:
        for index in block:
            picture = _read(files[index], format, check)
            images[index] = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
        return len(block)

    # Pillow decodes without the interpreter lock; blocks, because handing over single small images costs more
    # than decoding them. `disable=None` shows the bar on terminals only.
    blocks = [range(start, min(start + 64, len(files))) for start in range(0, len(files), 64)]
    bar = tqdm(desc=f"decoding {name}", total=len(files), delay=1, unit="image", disable=None)
    with warnings.catch_warnings(), bar, ThreadPoolExecutor(2) as pool:
        # What Pillow warns of is refused here anyway, or does not touch the pixels; its words name no file.
        warnings.simplefilter("ignore")
        for count in pool.map(read_block, blocks):
            bar.update(count)
    return images


def _read(file: SourceFile, format: str, check: Check | None) -> Image.Image:
    content = file.read()
    try:
        # Only one decoder: what a file claims to be must not choose among Pillow's many parsers.
        with Image.open(io.BytesIO(content), formats=[format]) as image:
            fault = _find_fault(image)
            if fault is not None:
                raise UsageError(
                    f"'{file}' ({len(content):,} bytes) {fault}; replace the file, or take it out of the data"
                )
            ImageOps.exif_transpose(image, in_place=True)
            if check is not None:
                check(file, image.size)
            return image.convert("RGB")
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001  damaged files make Pillow's parsers raise nearly anything
        reason = "another kind of file" if isinstance(error, UnidentifiedImageError) else error
        raise UsageError(
            f"'{file}' ({len(content):,} bytes) is not a readable {format} ({reason}); get the file again"
        ) from None


def _find_fault(image: Image.Image) -> str | None:
    """What is wrong with a picture, from its header alone."""
    width, height = image.size
    if width * height > MOST_PIXELS:
        return f"has {width}x{height} pixels; at most {MOST_PIXELS:,} are decoded"
    if min(width, height) < SHORTEST_SIDE:
        return f"has {width}x{height} pixels; the shorter side needs at least {SHORTEST_SIDE}"
    # A photograph with a second picture beside it (MPO) is still one photograph.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        return f"is an animation of {getattr(image, 'n_frames', 1)} pictures, not one picture"
    if image.mode not in EIGHT_BIT_MODES:
        return f"has pixels of mode {image.mode}; 8 bits a channel can be used"
    return None
