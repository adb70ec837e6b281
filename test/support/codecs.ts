import { vi } from "vitest"

/** How many bytes `Uint8Array.set` copies while a function runs. */
export const copiedDuring = (run: () => void): number => {
  const set = vi.spyOn(Uint8Array.prototype, "set")
  try {
    run()
    return set.mock.calls.reduce((copied, [source]) => copied + source.length, 0)
  } finally {
    set.mockRestore()
  }
}

/**
 * Where the laws of a codec take their cases from, another place in each run. With one seed all laws of a codec try the same
 * cases, and those are drawn once; each law tries as many.
 */
export const seed = Math.trunc(Math.random() * 2 ** 31)
