#!/bin/bash
# One task of a Slurm array makes one part of a data set; all write to one folder on the cluster's disk.
#
#   job=$(sbatch --parsable --array=1-100 docs/slurm.sh generate --out /shared/train --split train --num-episodes 200000)
#   sbatch --dependency=afterok:$job --array=1-1 docs/slurm.sh generate --out /shared/train --split train --num-episodes 200000
#
# The second command is the same with an array of one: it makes what killed tasks left out, and finishes the data
# set. A task that was killed goes on where it was when it is queued again. Likewise `docs/slurm.sh masks DIR`.
#SBATCH --job-name=loopcraft
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
export OMP_NUM_THREADS=1
command=$1
shift
exec python -m "loopcraft.$command" "$@" \
  --workers "$SLURM_CPUS_PER_TASK" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
