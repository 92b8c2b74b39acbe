"""MNIST's files (IDX, compressed or not) for the reference models of images."""

import gzip
from pathlib import Path

import numpy as np


def read(path, rank):
    data = Path(path).read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    assert data[:4] == bytes([0, 0, 8, rank]), path
    shape = np.frombuffer(data, ">u4", rank, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def add_flags(flags):
    flags.add_argument("--images", type=Path, required=True)
    flags.add_argument("--labels", type=Path, required=True)
    flags.add_argument("--held-out", type=int)
    return flags


def load(args):
    """Images [n, 784] from 0 to 1 and labels, without those held out."""
    images, labels = read(args.images, 3), read(args.labels, 1)
    n = len(labels) - (len(labels) // 6 if args.held_out is None else args.held_out)
    dtype = np.float32 if args.precision == "f32" else np.float64
    return (images[:n].reshape(n, -1) / 255).astype(dtype), labels[:n].astype(np.int64)


def batch(args, data, number):
    images, labels = data
    start = number % (len(labels) // args.batch) * args.batch
    return images[start : start + args.batch], labels[start : start + args.batch]
