/**
 * Moves that somebody at the terminal makes.
 *
 * @internal
 */
import { Prompt } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Terminal from "effect/Terminal"
import * as Chance from "../internal/dialogue/chance.ts"
import type { Values } from "../internal/dialogue/fields.ts"
import * as Given from "../internal/dialogue/given.ts"
import * as Player from "../internal/dialogue/player.ts"
import type { Spec } from "../internal/dialogue/spec.ts"
import * as Told from "./told.ts"

/** Nothing is drawn for what somebody has written. */
const field = (spec: Spec, tag: string, name: string, isSecret: boolean) => {
  const options = {
    message: `${tag}.${name} (nothing: drawn)`,
    validate: (text: string) =>
      Effect.suspend(() => {
        const read = text === "" ? undefined : Given.parse(spec, tag, name, text)
        return read !== undefined && Result.isFailure(read) ? Effect.fail(read.failure) : Effect.succeed(text)
      })
  }
  const written: Effect.Effect<string, Terminal.QuitError, Prompt.Environment> = isSecret
    ? Effect.map(Prompt.Password(options), Redacted.value)
    : Prompt.String(options)
  return Effect.map(written, (text): Values => text === "" ? {} : Result.getOrThrow(Given.parse(spec, tag, name, text)))
}

/** Shows a numbered list of what may be said, and asks for its fields one by one. */
export const choose =
  (given: Given.Given, label = ""): Player.Choose<Terminal.QuitError, Prompt.Environment> =>
  ({ options, role, spec, state }) =>
    Effect.gen(function*() {
      yield* Console.log(`${label}${state.name}: what does the ${role} say?`)
      for (const [i, tag] of options.entries()) {
        const { names } = state.wire.fields.get(tag)!
        const fields = names.length === 0 ? "" : ` {${names.join(", ")}}`
        yield* Console.log(`  ${i + 1}  ${tag}${fields}  -> ${Player.leads(state.targets.get(tag)!)}`)
      }
      const tagOf = (text: string) => options[Number(text) - 1] ?? options.find((tag) => tag === text)
      for (;;) {
        const chosen = yield* Prompt.String({
          message: "number",
          validate: (text) =>
            tagOf(text) === undefined ? Effect.fail(`a number from 1 to ${options.length}`) : Effect.succeed(text)
        })
        const tag = tagOf(chosen)!
        const { names, secrets } = state.wire.fields.get(tag)!
        let known = Given.none
        for (const name of names) {
          const value = given.get(tag)?.[name]
          known = Given.add(
            known,
            tag,
            value === undefined ? yield* field(spec, tag, name, secrets.includes(name)) : { [name]: value }
          )
        }
        const values = yield* Chance.values(state, tag, known)
        const written = values === undefined
          ? Result.fail("nothing could be drawn for what was left out")
          : state.wire.write(tag, values, state.due)
        if (Result.isSuccess(written)) return Player.say(tag, values)
        yield* Console.log(
          `${Told.message(tag, Player.shownFields(state.wire, tag, values ?? {}))} cannot be said: ${written.failure}`
        )
      }
    })
