/**
 * What one measurement is: so many operations a second, and the processor's time for each. It is printed as JSON by the
 * processes that measure and read by the harness.
 */
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import { untilWarm } from "../warming.ts"

export interface Sample {
  readonly perSecond: number
  /** The processor's microseconds for an operation, of all threads of the process that is measured. */
  readonly cpu: number
  /** The delay of the event loop meanwhile, in milliseconds: the 99th percentile and the longest. */
  readonly delay?: { readonly p99: number; readonly max: number } | undefined
  /** The resident bytes of what is left behind by an operation. */
  readonly bytes?: number | undefined
}

/** The processor time of this process in microseconds. */
export const own = (): number => {
  const { system, user } = process.cpuUsage()
  return system + user
}

/** The processor time of another process in microseconds: Linux counts that of each thread in nanoseconds. */
export const of = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce(
    (sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1000,
    0
  )

/** How many operations one call is. */
export type Run = () => number

/** The resident bytes of another process. */
export const residentOf = (pid: number): number => {
  const [, kilobytes] = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? []
  if (kilobytes === undefined) throw new Error(`nothing is known of the memory of process ${pid}`)
  return Number(kilobytes) * 1024
}

export interface Load {
  /** One of those who work side by side: goes on until told to stop, and tells of each operation that is done. */
  readonly work: (isOver: () => boolean, done: () => void) => Promise<void>
  readonly atOnce: number
  /** How many operations a `done` is. Default: 1. */
  readonly each?: number | undefined
  /** Whose processor time it is. Default: that of this process. */
  readonly cpu?: (() => number) | undefined
}

/** What is done while others wait. One that fails ends it all. */
export const sideBySide = async (seconds: number, load: Load, between = () => {}): Promise<Sample> => {
  const { atOnce, cpu = own, each = 1, work } = load
  let count = 0
  let over = false
  const done = () => {
    count++
  }
  const timedOnce = async (): Promise<Sample> => {
    const [beganAt, counted, used] = [performance.now(), count, cpu()]
    await setTimeout(seconds * 1000)
    const [elapsed, operations, microseconds] = [
      (performance.now() - beganAt) / 1000,
      (count - counted) * each,
      cpu() - used
    ]
    return { perSecond: operations / elapsed, cpu: microseconds / operations }
  }
  const timed = async (): Promise<Sample> => {
    for (const isWarm = untilWarm(); !isWarm((await timedOnce()).cpu););
    between()
    const sample = await timedOnce()
    over = true
    if (sample.perSecond === 0) throw new Error(`nothing was done within ${seconds} s`)
    return sample
  }
  const [sample] = await Promise.all([timed(), ...Array.from({ length: atOnce }, () => work(() => over, done))])
  return sample
}

/** A promise again and again. */
export const repeated = (operation: () => Promise<unknown>): Load["work"] => async (isOver, done) => {
  while (!isOver()) {
    await operation()
    done()
  }
}

/** What keeps the thread to itself. `run` tells how many operations it was. */
export const alone = (seconds: number, run: Run): Sample => {
  const until = (seconds: number): Sample => {
    const [beganAt, used] = [performance.now(), own()]
    let operations = 0
    let elapsed: number
    do {
      operations += run()
      elapsed = (performance.now() - beganAt) / 1000
    } while (elapsed < seconds)
    return { perSecond: operations / elapsed, cpu: (own() - used) / operations }
  }
  for (const isWarm = untilWarm(); !isWarm(until(seconds).cpu););
  return until(seconds)
}

/** What the harness reads; the process ends, whatever else is open in it. */
export const print = (sample: Sample): void => {
  process.stdout.write(JSON.stringify(sample) + "\n", () => process.exit(0))
}
