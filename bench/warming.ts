/**
 * When a process is warm: its compiler has done its work, and it needs no less processor time any more for what it does. Programs of
 * many small functions take several seconds, those that are written by hand hardly one.
 */

/** How often a process is warmed up, at most. */
const most = 6
const least = 2

/** How much less time it has to need than at best before, to be worth another round. */
const worthAnother = 0.95

/** Is told the processor time for an operation, each time that a process was warmed up, and says whether that is enough. */
export const untilWarm = (): (spent: number) => boolean => {
  let times = 0
  let best = Infinity
  return (spent) => {
    times++
    const isWorth = spent <= best * worthAnother
    best = Math.min(best, spent)
    return times >= most || (times >= least && !isWorth)
  }
}
