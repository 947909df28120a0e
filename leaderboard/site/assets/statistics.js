"use strict";
/** Paired differences by the project's bootstrap: the same draws and intervals as leaderboard.compare --pairs. */
const Statistics = (() => {
  const TAILS = [0.025, 0.975];
  const FEWEST_VIDEOS = 2;

  /** Load how often each bootstrap resample draws each of `numVideos` videos. */
  async function resamples(numVideos) {
    const draws = await Data.load(`resamples-${numVideos}`);
    return draws && { ...draws, counts: Uint8Array.from(atob(draws.counts), (char) => char.charCodeAt(0)) };
  }

  function mean(values) {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** {mean, low, high} of `first` minus `second` over the same videos; only {mean} if there are too few. */
  function difference(first, second, draws) {
    const values = first.map((value, index) => value - second[index]);
    if (values.length < FEWEST_VIDEOS || values.length !== draws.numVideos) return { mean: mean(values) };
    const means = new Float64Array(draws.numResamples);
    for (let row = 0; row < draws.numResamples; row++) {
      let sum = 0;
      const start = row * draws.numVideos;
      for (let index = 0; index < draws.numVideos; index++) sum += draws.counts[start + index] * values[index];
      means[row] = sum / draws.numVideos;
    }
    means.sort();
    const [low, high] = TAILS.map((tail) => quantile(means, tail));
    return { mean: mean(values), low, high };
  }

  /** A quantile of sorted values, with linear interpolation. */
  function quantile(sorted, share) {
    const position = share * (sorted.length - 1);
    const below = Math.floor(position);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
  }

  return { resamples, difference };
})();
