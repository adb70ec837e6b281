/**
 * Counts tasks that are queued and bytes that are copied. It has to be imported before what is counted, for that may take the
 * functions as they are when it is loaded.
 */
export const counters = { tasks: 0, copied: 0 }

for (const name of ["queueMicrotask", "setImmediate"] as const) {
  const queue = globalThis[name] as (task: () => void) => void
  Object.assign(globalThis, {
    [name]: (task: () => void) => {
      counters.tasks++
      return queue(task)
    }
  })
}

const { set, slice } = Uint8Array.prototype
const { copy } = Buffer.prototype

Object.assign(Uint8Array.prototype, {
  set(this: Uint8Array, from: ArrayLike<number>, at?: number) {
    counters.copied += from.length
    return set.call(this, from, at)
  },
  slice(this: Uint8Array, from?: number, to?: number) {
    const part = slice.call(this, from, to)
    counters.copied += part.length
    return part
  }
})

Object.assign(Buffer.prototype, {
  copy(this: Buffer, ...args: Parameters<typeof copy>) {
    const length = copy.apply(this, args)
    counters.copied += length
    return length
  }
})
