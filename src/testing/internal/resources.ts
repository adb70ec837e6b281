/**
 * What a program holds of its platform, as far as that tells: what keeps it alive, files that are open, and listeners.
 *
 * @internal
 */
import * as Effect from "effect/Effect"

/** How many there are of each kind, by a name that a violation can show. */
export type Resources = ReadonlyMap<string, number>

interface Files {
  readonly readdirSync: (path: string) => ReadonlyArray<string>
  readonly readlinkSync: (path: string) => string
}

interface Timer {
  readonly hasRef: () => boolean
}

interface Hooks {
  readonly createHook: (callbacks: {
    readonly init: (id: number, type: string, trigger: number, resource: Timer) => void
    readonly destroy: (id: number) => void
  }) => { readonly enable: () => void; readonly disable: () => void }
}

interface Events {
  readonly EventEmitter: { readonly prototype: object }
  readonly getEventListeners: (target: object, type: string | symbol) => ReadonlyArray<unknown>
}

/** What of Node's `process` is used, where there is one. */
interface Platform {
  readonly getActiveResourcesInfo?: () => ReadonlyArray<string>
  readonly getBuiltinModule?: {
    (name: "node:fs"): Files | undefined
    (name: "node:events"): Events | undefined
    (name: "node:async_hooks"): Hooks | undefined
  }
}

const platform = (): Platform | undefined => (globalThis as { readonly process?: Platform }).process

const descriptors = "/proc/self/fd"

/** The directories in which files are open. Sockets and pipes are told apart by nothing, and are among what is active. */
const directories = (): ReadonlyArray<string> => {
  try {
    const files = platform()?.getBuiltinModule?.("node:fs")
    return (files?.readdirSync(descriptors) ?? []).flatMap((descriptor) => {
      try {
        const path = files!.readlinkSync(`${descriptors}/${descriptor}`)
        return path.startsWith("/") ? [path.slice(0, Math.max(1, path.lastIndexOf("/")))] : []
      } catch {
        // It was closed meanwhile, such as the one of the list itself.
        return []
      }
    })
  } catch {
    // Not every platform has such a list.
    return []
  }
}

/** What is held now, but for listeners. */
export const held = (): Resources => {
  const counts = new Map<string, number>()
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1)
  for (const kind of platform()?.getActiveResourcesInfo?.() ?? []) count(kind)
  for (const directory of directories()) count(`open files in ${directory}`)
  return counts
}

// ---------------------------------------------------------------------------------------------------------------------
// Listeners
// ---------------------------------------------------------------------------------------------------------------------

type Watcher = (target: object, type: string | symbol) => void
type Adding = (this: object, type: string | symbol, ...rest: ReadonlyArray<unknown>) => unknown

const watchers = new Set<Watcher>()
let restore: (() => void) | undefined

const install = (events: Events): () => void => {
  const undo: Array<() => void> = []
  const replace = (prototype: object, names: ReadonlyArray<string>) => {
    const methods = prototype as Record<string, Adding>
    for (const name of names) {
      const own = Object.getOwnPropertyDescriptor(prototype, name)
      const add = methods[name]
      if (own === undefined || own.configurable !== true) continue
      const told: Adding = function(type, ...rest) {
        for (const watcher of watchers) watcher(this, type)
        return add.call(this, type, ...rest)
      }
      Object.defineProperty(prototype, name, { ...own, value: told })
      undo.push(() => Object.defineProperty(prototype, name, own))
    }
  }
  replace(EventTarget.prototype, ["addEventListener"])
  replace(events.EventEmitter.prototype, ["on", "addListener", "once", "prependListener", "prependOnceListener"])
  return () => undo.forEach((one) => one())
}

/**
 * Looks at whoever listens to something while an Effect runs, which may ask meanwhile, and tells how many more listeners there are
 * then than before, of each kind. What a connection makes for itself goes with it: it is for the caller to see that one thing has
 * them from many.
 */
export const listening = <A, E, R>(
  looking: (left: () => Resources) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const events = platform()?.getBuiltinModule?.("node:events")
    if (events === undefined) return looking(() => new Map<string, number>())
    const before = new Map<object, Map<string | symbol, number>>()
    const watcher: Watcher = (target, type) => {
      const known = before.get(target) ?? new Map<string | symbol, number>()
      before.set(target, known)
      if (!known.has(type)) known.set(type, events.getEventListeners(target, type).length)
    }
    watchers.add(watcher)
    restore ??= install(events)
    const left = (): Resources => {
      const counts = new Map<string, number>()
      for (const [target, types] of before) {
        for (const [type, count] of types) {
          const name = `listeners of ${
            target === platform() ? "process" : target.constructor?.name ?? "something"
          } for ${JSON.stringify(String(type))}`
          // Of one thing: many that have one each belong to their connections.
          const more = events.getEventListeners(target, type).length - count
          if (more > (counts.get(name) ?? 0)) counts.set(name, more)
        }
      }
      return counts
    }
    return Effect.ensuring(
      looking(left),
      Effect.sync(() => {
        if (!watchers.delete(watcher) || watchers.size > 0) return
        restore?.()
        restore = undefined
      })
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// Timers
// ---------------------------------------------------------------------------------------------------------------------

const timers = "Timeout"

/**
 * Looks at the timers that are set while an Effect runs, and tells how many of them are set still and keep the process alive: how
 * many there are in all says nothing where others that were set before strike meanwhile. Until `stop` they are looked after.
 */
const timing = (): { readonly left: () => number; readonly stop: () => void } | undefined => {
  const hooks = platform()?.getBuiltinModule?.("node:async_hooks")
  if (hooks === undefined) return undefined
  const set = new Map<number, Timer>()
  const hook = hooks.createHook({
    init: (id, type, _, resource) => {
      if (type === timers) set.set(id, resource)
    },
    destroy: (id) => {
      set.delete(id)
    }
  })
  hook.enable()
  return { left: () => [...set.values()].filter((timer) => timer.hasRef()).length, stop: () => hook.disable() }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is left
// ---------------------------------------------------------------------------------------------------------------------

/** What is closed without being waited for is closed by then, in milliseconds of the wall clock. */
const patience = 20
const tries = 10

// Its own timer is over by then.
const aMoment = Effect.promise(() => new Promise((resolve) => setTimeout(() => setImmediate(resolve), patience)))

/**
 * Does something `often` times, and tells what of it is left, once for each time at least: where nothing is left of the first time,
 * that is all. Somebody else's is not: it is tried again before anything is said, and whatever takes a moment to go has that.
 */
export const leftBy = <E, R>(
  once: Effect.Effect<unknown, E, R>,
  often: number
): Effect.Effect<readonly [name: string, count: number] | undefined, E, R> => {
  const looking = (timed: ReturnType<typeof timing>) =>
    Effect.gen(function*() {
      const before = held()
      const left = (listeners: Resources, least: number) =>
        [
          ...[...held()].map(([name, count]) =>
            [name, name === timers && timed !== undefined ? timed.left() : count - (before.get(name) ?? 0)] as const
          ),
          ...listeners
        ].filter(([, count]) => count >= least)
      const listeners = yield* listening((listeners) =>
        Effect.as(
          Effect.andThen(
            once,
            Effect.suspend(() =>
              left(listeners(), 1).length === 0
                ? Effect.void
                : Effect.replicateEffect(once, often - 1, { discard: true })
            )
          ),
          listeners
        )
      )
      let found = left(listeners(), often)
      for (let again = 0; found.length > 0 && again < tries; again++) {
        yield* aMoment
        found = left(listeners(), often)
      }
      return found
    })
  const round = Effect.acquireUseRelease(Effect.sync(timing), looking, (timed) => Effect.sync(() => timed?.stop()))
  return Effect.gen(function*() {
    const first = yield* round
    if (first.length === 0) return undefined
    const second = new Set((yield* round).map(([name]) => name))
    return first.find(([name]) => second.has(name))
  })
}
