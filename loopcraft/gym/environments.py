"""Registration of the worlds as Gymnasium environments by `import loopcraft`, without importing Gymnasium.

    import gymnasium, loopcraft
    env = gymnasium.make("loopcraft/Voxel-v1", resolution=64)

Gymnasium has no plug-ins: a package must be imported to register its environments. They are registered at
once if Gymnasium is already loaded, else when it is. `gymnasium.make("loopcraft:loopcraft/Voxel-v1")` needs
no import and so works in any process, including those spawned by a vectorised environment.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ENVIRONMENTS = {
    "loopcraft/Voxel-v1": "loopcraft.gym.env:VoxelEnv",
    "loopcraft/Plaza-v1": "loopcraft.gym.env:PlazaEnv",
}
"""The class of each environment, imported when one is made."""
EPISODE_STEPS = 1024
"""Steps after which an episode is truncated."""

_GYMNASIUM = "gymnasium"


def register_on_import() -> None:
    """Register all environments now, or when Gymnasium is imported."""
    if hasattr(sys.modules.get(_GYMNASIUM), "register"):
        _register()
    elif not any(isinstance(finder, _Watcher) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher())


def _register() -> None:
    import gymnasium

    for name, entry_point in ENVIRONMENTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point, max_episode_steps=EPISODE_STEPS)


class _Watcher:
    """A module finder that finds only Gymnasium, through the other finders, to register after its import."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of Gymnasium; None, so that Python asks the other finders, for other modules."""
        if name != _GYMNASIUM:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None:
            sys.meta_path.insert(0, self)
        else:
            spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]  # has what Python calls
        return spec


class _Loader:
    """A module loader that wraps Gymnasium's own and registers the environments after loading."""

    def __init__(self, loader: Any, watcher: _Watcher) -> None:
        self._loader, self._watcher = loader, watcher

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        try:
            self._loader.exec_module(module)
        except BaseException:
            sys.meta_path.insert(0, self._watcher)  # the next attempt may succeed
            raise
        _register()
