/**
 * What a program prints: through `console`, or straight to its standard streams. It is heard while somebody listens, and
 * printed unless a listener wants it kept back.
 *
 * @internal
 */

/** Is called with what is printed and where. True keeps it back. */
export type Listener = (text: string, where: string) => boolean

const listeners = new Set<Listener>()
let restore: (() => void) | undefined

const hear = (text: string, where: string): boolean => {
  let isKept = false
  for (const listener of listeners) isKept = listener(text, where) || isKept
  return isKept
}

const methods = ["debug", "dir", "error", "info", "log", "trace", "warn"] as const

const text = (value: unknown): string => {
  if (typeof value === "string") return value
  try {
    return JSON.stringify(value, (_, inner: unknown) => typeof inner === "bigint" ? String(inner) : inner) ??
      String(value)
  } catch {
    return String(value)
  }
}

interface Stream {
  write: (chunk: unknown, ...rest: Array<unknown>) => boolean
}

const decoder = new TextDecoder()

const install = (): () => void => {
  const undo: Array<() => void> = []
  const console = globalThis.console as unknown as Record<string, (...args: Array<unknown>) => void>
  for (const name of methods) {
    const own = Object.getOwnPropertyDescriptor(console, name)
    let current = console[name]
    // Whoever sets another one meanwhile is heard, too.
    Object.defineProperty(console, name, {
      configurable: true,
      enumerable: true,
      get: () => (...args: Array<unknown>) => {
        if (!hear(args.map(text).join(" "), `console.${name}`)) current.apply(console, args)
      },
      set: (other: typeof current) => {
        current = other
      }
    })
    undo.push(() => {
      if (own !== undefined) Object.defineProperty(console, name, own)
      else delete console[name]
    })
  }
  const { process } = globalThis as unknown as {
    readonly process?: { readonly stdout?: Stream; readonly stderr?: Stream }
  }
  for (const name of ["stdout", "stderr"] as const) {
    const stream = process?.[name]
    if (stream === undefined) continue
    const own = Object.getOwnPropertyDescriptor(stream, "write")
    const write = stream.write
    stream.write = (chunk, ...rest) => {
      const shown = typeof chunk === "string" ? chunk : chunk instanceof Uint8Array ? decoder.decode(chunk) : ""
      return hear(shown, name) || write.call(stream, chunk, ...rest)
    }
    undo.push(() => {
      if (own !== undefined) Object.defineProperty(stream, "write", own)
      else delete (stream as Partial<Stream>).write
    })
  }
  return () => undo.forEach((one) => one())
}

/** Listens until the returned function is called. */
export const listen = (listener: Listener): () => void => {
  listeners.add(listener)
  restore ??= install()
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return
    restore?.()
    restore = undefined
  }
}
