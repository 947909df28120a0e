"use strict";
/** Paired differences with the project's bootstrap: the same draws, hence the same intervals as leaderboard.compare --pairs. */
const Statistics = (() => {
  const TAILS = [0.025, 0.975];
  const FEWEST_VIDEOS = 2;

  /** The draws for that many videos: how often each resample has each. */
  async function resamples(numVideos) {
    const found = await Data.load(`resamples-${numVideos}`);
    return found && { ...found, counts: Uint8Array.from(atob(found.counts), (char) => char.charCodeAt(0)) };
  }

  function mean(values) {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** {mean, low, high} of one minus other over the same videos; without an interval where there are too few. */
  function difference(one, other, draws) {
    const values = one.map((value, place) => value - other[place]);
    if (values.length < FEWEST_VIDEOS || values.length !== draws.numVideos) return { mean: mean(values) };
    const means = new Float64Array(draws.numResamples);
    for (let row = 0; row < draws.numResamples; row++) {
      let sum = 0;
      const start = row * draws.numVideos;
      for (let place = 0; place < draws.numVideos; place++) sum += draws.counts[start + place] * values[place];
      means[row] = sum / draws.numVideos;
    }
    means.sort();
    const [low, high] = TAILS.map((tail) => quantile(means, tail));
    return { mean: mean(values), low, high };
  }

  /** Of sorted values, with linear interpolation. */
  function quantile(sorted, share) {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  }

  return { resamples, difference };
})();
