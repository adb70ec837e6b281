/**
 * What the platform tells of its own work, where it does.
 *
 * @internal
 */
interface CpuUsage {
  readonly user: number
  readonly system: number
}

const { process } = globalThis as {
  readonly process?: {
    readonly memoryUsage?: () => { readonly arrayBuffers: number; readonly heapUsed: number }
    readonly cpuUsage?: () => CpuUsage
    readonly threadCpuUsage?: () => CpuUsage
  }
}

/** The bytes of all byte arrays, and of everything else, whether or not it is still used. */
export const memory = (): { readonly arrayBuffers: number; readonly heapUsed: number } | undefined =>
  process?.memoryUsage?.()

/** What this thread has worked so far, in milliseconds: a machine that is busy with others does not count. */
export const worked = (): number => {
  const usage = process?.threadCpuUsage?.() ?? process?.cpuUsage?.()
  return usage === undefined ? performance.now() : (usage.user + usage.system) / 1000
}
