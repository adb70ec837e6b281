/**
 * What one measurement is: so many operations a second, and the processor's time for each. It is printed as JSON by the
 * processes that measure and read by the harness.
 */
import { readdirSync, readFileSync } from "node:fs"
import { createInterface } from "node:readline"
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

/** Measures once, for so many seconds. */
export type Measure = (seconds: number) => Promise<Sample>

/** What does not count, before what does: all that works side by side is under way then. */
const lead = (seconds: number): number => Math.max(0.05, seconds / 10)

/** What is done while others wait. One that fails ends it all. */
export const sideBySide = (load: Load, between = () => {}): Measure => async (seconds) => {
  const { atOnce, cpu = own, each = 1, work } = load
  let count = 0
  let over = false
  const done = () => {
    count++
  }
  const timed = async (): Promise<Sample> => {
    await setTimeout(lead(seconds) * 1000)
    between()
    const [beganAt, counted, used] = [performance.now(), count, cpu()]
    await setTimeout(seconds * 1000)
    const [elapsed, operations, microseconds] = [
      (performance.now() - beganAt) / 1000,
      (count - counted) * each,
      cpu() - used
    ]
    over = true
    if (operations === 0) throw new Error(`nothing was done within ${seconds} s`)
    return { perSecond: operations / elapsed, cpu: microseconds / operations }
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
export const alone = (run: Run): Measure => async (seconds) => {
  const [beganAt, used] = [performance.now(), own()]
  let operations = 0
  let elapsed: number
  do {
    operations += run()
    elapsed = (performance.now() - beganAt) / 1000
  } while (elapsed < seconds)
  return { perSecond: operations / elapsed, cpu: (own() - used) / operations }
}

/** What is said to the harness when the process is warm. */
export const warm = "warm"

/**
 * Warms up for so many seconds at a time, and then measures for as many seconds as each line of standard input says, until there is none
 * any more: one process that stays warm is measured often and shortly, in turns with others.
 */
export const serve = async (warmUp: number, measure: Measure): Promise<void> => {
  for (const isWarm = untilWarm(); !isWarm((await measure(warmUp)).cpu););
  console.log(warm)
  for await (const seconds of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await measure(Number(seconds))))
  }
  process.exit(0)
}

/** What the harness reads; the process ends, whatever else is open in it. */
export const print = (sample: Sample): void => {
  process.stdout.write(JSON.stringify(sample) + "\n", () => process.exit(0))
}
