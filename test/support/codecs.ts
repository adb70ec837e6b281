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
