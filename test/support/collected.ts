/**
 * Whether something can be collected.
 */
import * as Effect from "effect/Effect"
import { setTimeout } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void // that is what the flag exposes

/** Whether it is gone, now that it has had a turn of the event loop and a full collection. */
export const isCollected = (ref: WeakRef<object>): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    // What a WeakRef has shown in this turn stays for all of it.
    await setTimeout()
    collect()
    return ref.deref() === undefined
  })
