#!/bin/bash
# One task of a Slurm array does one part of a command's work; all tasks write to one folder on the cluster's disk.
#
#   set="loopcraft.generate --out /shared/train --split train --num-episodes 200000"
#   job=$(sbatch --parsable --array=1-100 docs/slurm.sh $set)
#   sbatch --dependency=afterany:$job --array=1-1 docs/slurm.sh $set
#
# The second sbatch is the same with an array of one: it does what killed tasks left out, and writes table, checksums
# and index. A task that was killed goes on where it was when it is queued again. So for loopcraft.masks DIR,
# models.encode DIR --out LATENTS and benchmark.run --model NAME --data DIR --out RUN, which writes its result then.
# LOOPCRAFT_WORKERS=1 sbatch --gres=gpu:1 ... gives benchmark.run one process, so one model, on a GPU of each task.
#SBATCH --job-name=loopcraft
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=1G
#SBATCH --time=12:00:00
#SBATCH --requeue
set -euo pipefail
export OMP_NUM_THREADS=1
exec python -m "$@" --workers "${LOOPCRAFT_WORKERS:-$SLURM_CPUS_PER_TASK}" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
