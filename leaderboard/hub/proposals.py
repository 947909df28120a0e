"""Propose an entry as a pull request on the Hub, for the maintainers of the entries repository to merge."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi, get_token

from loopcraft.core.errors import UserError
from loopcraft.hub.errors import DATASET, plain_errors, require_name


def propose(repository: str, folder: Path, entry_id: str) -> str:
    """Open a pull request that adds the files of `folder` as `entry_id`; return a message with its URL.

    Raises `UserError` if there is no Hugging Face token.
    """
    require_name(repository)
    if get_token() is None:
        raise UserError("no Hugging Face token; run `hf auth login` or set HF_TOKEN")
    operations = [
        CommitOperationAdd(f"{entry_id}/{path.relative_to(folder).as_posix()}", path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    with plain_errors(repository, DATASET):
        info = HfApi().create_commit(
            repository,
            operations,
            commit_message=f"Add {entry_id}",
            repo_type=DATASET,
            create_pr=True,
        )
    return f"{entry_id}: proposed at {info.pr_url}"
