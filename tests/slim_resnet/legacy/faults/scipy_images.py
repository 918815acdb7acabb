"""What scipy.misc makes of images: type, shape, checksum and first pixels of each."""
import json
import sys
import warnings
import zlib

import numpy as np
import scipy.misc

warnings.simplefilter('ignore')
random = np.random.RandomState(0)
rgb = random.randint(0, 256, (7, 9, 3)).astype(np.uint8)
gray = random.randint(0, 256, (6, 8)).astype(np.uint8)
real = random.randn(6, 8)
planes = random.rand(3, 6, 8)
colours = random.rand(6, 8, 3)
rgba = random.randint(0, 256, (5, 6, 4)).astype(np.uint8)


def back(array, **kwargs):
    return scipy.misc.fromimage(scipy.misc.toimage(array, **kwargs))


def saved(array, **kwargs):
    scipy.misc.imsave(sys.argv[1], array)
    return scipy.misc.imread(sys.argv[1], **kwargs)


CASES = {
    'per cent': lambda: scipy.misc.imresize(gray, 50),
    'times': lambda: scipy.misc.imresize(colours, 2.0),
    'floats': lambda: scipy.misc.imresize(real, (3, 4), mode='F'),
    'planes': lambda: scipy.misc.imresize(planes, (3, 4)),
    'four channels': lambda: scipy.misc.imresize(rgba, (3, 3)),
    'stretched': lambda: scipy.misc.bytescale(real),
    'stretched so': lambda: scipy.misc.bytescale(real, cmin=-1, cmax=1, high=200, low=10),
    'constant': lambda: scipy.misc.bytescale(np.ones((2, 2))),
    'turned': lambda: scipy.misc.imrotate(rgb, 30),
    'turned back': lambda: scipy.misc.imrotate(real, -45, 'nearest'),
    'bits': lambda: back(real, mode='1'),
    'palette': lambda: back(gray, mode='P'),
    'integers': lambda: back(np.arange(12).reshape(3, 4), mode='I'),
    'CMYK': lambda: back(rgba, mode='CMYK'),
    'YCbCr': lambda: back(colours, mode='YCbCr'),
    'any axis': lambda: back(np.arange(27).reshape(3, 3, 3)),
    'no channels': lambda: back(np.zeros((2, 5, 6))),
    'complex': lambda: back(np.zeros((2, 2), complex)),
    'wrong mode': lambda: back(gray, mode='RGB'),
    'saved': lambda: saved(colours),
    'saved gray': lambda: saved(real),
    'flat': lambda: saved(rgb, flatten=True),
    'as colours': lambda: saved(gray, mode='RGB'),
}
for interp in ('nearest', 'lanczos', 'bilinear', 'bicubic', 'cubic'):
    CASES['resized ' + interp] = lambda i=interp: scipy.misc.imresize(rgb, (14, 5), i)

found = {}
for name, make in CASES.items():
    try:
        array = np.ascontiguousarray(make())
        checksum = zlib.crc32(array.tobytes()) & 0xffffffff
        found[name] = [str(array.dtype), list(array.shape), checksum, array.ravel()[:4].tolist()]
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found, indent=1, sort_keys=True))
