"""The runtime is tested over the same systems as the actor."""

from tests.actor.conftest import _no_thread_is_left, local, rig_store, system, watch

__all__ = ["_no_thread_is_left", "local", "rig_store", "system", "watch"]
