"""The worlds as Gymnasium environments: `import loopcraft` makes them known, and loads nothing for it.

    import gymnasium, loopcraft
    env = gymnasium.make("loopcraft/Voxel-v1", resolution=64)

Gymnasium has no plug-ins: whoever registers an environment must be imported. Where it is loaded already they
are registered at once, else as soon as it is. `gymnasium.make("loopcraft:loopcraft/Voxel-v1")` needs no
import; so it works in any process, also in one that a vectorised environment has spawned.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ENVIRONMENTS = {
    "loopcraft/Voxel-v1": "loopcraft.gym.env:VoxelEnv",
    "loopcraft/Plaza-v1": "loopcraft.gym.env:PlazaEnv",
}
"""The class of each environment, which is imported when one is made."""
EPISODE_STEPS = 1024
"""After so many steps an episode is truncated."""

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
    """Among the finders of modules: finds none itself, and sees when Gymnasium is asked for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Python's hook: where `name` is, None for "ask the others"."""
        if name != _GYMNASIUM:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None:
            sys.meta_path.insert(0, self)
        else:
            spec.loader = _Loader(spec.loader, self)  # type: ignore[assignment]  # it has what Python calls
        return spec


class _Loader:
    """Loads Gymnasium as its own loader does, and registers the environments after it."""

    def __init__(self, loader: Any, watcher: _Watcher) -> None:
        self._loader, self._watcher = loader, watcher

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Python's hook."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Python's hook."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        try:
            self._loader.exec_module(module)
        except BaseException:
            sys.meta_path.insert(0, self._watcher)  # the next attempt may succeed
            raise
        _register()
