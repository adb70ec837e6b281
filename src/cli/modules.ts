/**
 * Dialogues that modules export, by what is written on a command line: `PATH`, or `PATH#NAME` where there are several.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import type * as Dialogue from "../Dialogue.ts"
import * as Flags from "./flags.ts"

// sysexits.h: EX_NOINPUT
const unusable = (message: string) => Flags.failing(message, 66)

const isDialogue = (value: unknown): value is Dialogue.Any =>
  Predicate.hasProperty(value, "dialogue") && Predicate.hasProperty(value.dialogue, "states") &&
  Predicate.hasProperty(value.dialogue, "start")

/** The first line of what a module has thrown, which has no stack in it. */
const whyOf = (thrown: unknown): string =>
  (thrown instanceof Error ? thrown.message || thrown.name : String(thrown)).split("\n")[0]!

const split = (written: string): readonly [path: string, name: string | undefined] => {
  const at = written.lastIndexOf("#")
  return at <= 0 ? [written, undefined] : [written.slice(0, at), written.slice(at + 1)]
}

/** Loads a dialogue, or says on stderr why not. */
export const load = Effect.fnUntraced(function*(
  written: string,
  /** What else might have been meant where there is no such file. */
  instead = ""
): Effect.fn.Return<Dialogue.Any, Flags.Exited> {
  const [path, name] = split(written)
  const shown = Flags.masked(path)
  const file = resolve(path)
  if (!existsSync(file)) return yield* unusable(`cannot load ${shown}: there is no such file${instead}`)
  const loaded = yield* Effect.tryPromise({
    try: () => import(pathToFileURL(file).href) as Promise<Readonly<Record<string, unknown>>>,
    catch: (thrown) => `cannot load ${shown}: ${whyOf(thrown)}`
  }).pipe(Effect.catch(unusable))
  const dialogues = new Map(
    Object.entries(loaded).flatMap(([name, value]) => isDialogue(value) ? [[name, value] as const] : [])
  )
  const names = Array.from(dialogues.keys())
  if (dialogues.size === 0) {
    return yield* unusable(
      `${shown} exports no dialogue: one is a class that extends Dialogue.make, or what it returns`
    )
  }
  if (name !== undefined) {
    const dialogue = dialogues.get(name)
    if (dialogue !== undefined) return dialogue
    return yield* Flags.failing(`${shown} exports no dialogue ${name}; it exports ${names.join(", ")}`, Flags.usage)
  }
  if (dialogues.size > 1 && new Set(dialogues.values()).size > 1) {
    return yield* Flags.failing(
      `${shown} exports several dialogues: ${names.join(", ")}; say which one, as in ${shown}#${names[0]}`,
      Flags.usage
    )
  }
  return dialogues.get(names[0]!)!
})
