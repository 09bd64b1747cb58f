"""Storage and the input pipeline: when the next batch is at hand."""

from simulator.cluster.storage.base import STORAGES, NoStorage, Site, StorageModel, Store, Transfer
from simulator.cluster.storage.disks import LocalDisk
from simulator.cluster.storage.objects import ObjectStore
from simulator.cluster.storage.pipeline import Loader, Reads, loader_of, reads_of_all
from simulator.cluster.storage.shared import SharedFilesystem

__all__ = [
    "STORAGES",
    "Loader",
    "LocalDisk",
    "NoStorage",
    "ObjectStore",
    "Reads",
    "SharedFilesystem",
    "Site",
    "StorageModel",
    "Store",
    "Transfer",
    "loader_of",
    "reads_of_all",
]
