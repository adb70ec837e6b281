/**
 * What a command is told to say, with `--set` and `--values`, and what is drawn besides.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Given from "../internal/dialogue/given.ts"
import type { Spec } from "../internal/dialogue/spec.ts"
import type { GivenFlags } from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as TlsFlags from "./tls.ts"

const fromFile = Effect.fnUntraced(function*(
  spec: Spec,
  path: string
): Effect.fn.Return<Given.Given, Flags.Exited, FileSystem.FileSystem> {
  const unusable = (problem: string) => Flags.failing(`cannot use ${path}: ${problem}`, 66)
  const text = yield* TlsFlags.read(path)
  const parsed = yield* Effect.try({
    try: () => JSON.parse(text) as unknown,
    // What Node says of it has a part of the file in it.
    catch: () => "it is no JSON"
  }).pipe(Effect.catch(unusable))
  const looksLike = "it has to look like {\"MESSAGE\": {\"FIELD\": VALUE}}"
  if (!Predicate.isObject(parsed) || Array.isArray(parsed)) return yield* unusable(looksLike)
  let given = Given.none
  for (const [tag, fields] of Object.entries(parsed)) {
    if (!Predicate.isObject(fields) || Array.isArray(fields)) return yield* unusable(`${tag}: ${looksLike}`)
    for (const [name, value] of Object.entries(fields)) {
      const read = Given.parse(spec, tag, name, value)
      if (Result.isFailure(read)) return yield* unusable(`${tag}.${name}: ${read.failure}`)
      given = Given.add(given, tag, read.success)
    }
  }
  return given
})

/** The values that are given, those of `--set` before those of the file. */
export const read = Effect.fnUntraced(function*(spec: Spec, flags: Pick<GivenFlags, "set" | "values">) {
  let given = Option.isSome(flags.values) ? yield* fromFile(spec, flags.values.value) : Given.none
  for (const written of flags.set) {
    const found = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(Redacted.value(written))
    if (found === null) {
      return yield* Flags.failing("--set is written MESSAGE.FIELD=VALUE, as in Login.user=ann", Flags.usage)
    }
    const [, tag, name, value] = found
    const read = Given.parse(spec, tag!, name!, value)
    if (Result.isFailure(read)) return yield* Flags.failing(`--set ${tag}.${name}: ${read.failure}`, Flags.usage)
    given = Given.add(given, tag!, read.success)
  }
  return given
})

/** The seed that is given, or a new one. */
export const seedOf = ({ seed }: Pick<GivenFlags, "seed">): Effect.Effect<number> =>
  Option.match(seed, { onNone: () => Random.nextIntBetween(0, 1_000_000), onSome: Effect.succeed })
