/**
 * The processes of this machine.
 */
import { spawnSync } from "node:child_process"

const table = () =>
  spawnSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" }).stdout.trim().split("\n").map((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), state }
    // A zombie is gone, and only waits for somebody to take note of it.
  }).filter(({ state }) => !state.startsWith("Z"))

export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // Somebody else's is there.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false
  }
  return table().some((process) => process.pid === pid)
}

export const childrenOf = (pid: number): ReadonlyArray<number> =>
  table().filter(({ parent }) => parent === pid).map((process) => process.pid).toSorted((a, b) => a - b)
