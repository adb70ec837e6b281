/**
 * The flags of commands that speak a dialogue.
 *
 * @internal
 */
import { Argument, Flag } from "effect/cli"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"

const described = "A module in TypeScript or JavaScript that exports a dialogue; MODULE#NAME where it exports several"

export const module = Argument.String("module").pipe(
  Argument.withMetavar("MODULE"),
  Argument.withDescription(described)
)

export const dialogue = Flag.String("dialogue").pipe(
  Flag.withMetavar("MODULE"),
  Flag.withDescription(`Play the client of a dialogue. ${described}`),
  Flag.optional
)

export const given = {
  // It may be a password.
  set: Flag.Redacted("set").pipe(
    Flag.withMetavar("MESSAGE.FIELD=VALUE"),
    Flag.withDescription("What to say in a field of a message; more than once for more than one. Others are drawn"),
    Flag.between(0, 1000)
  ),
  values: Flag.Path("values", { typeName: "file" }).pipe(
    Flag.withDescription("The same in a file of JSON, {\"MESSAGE\": {\"FIELD\": VALUE}}: for passwords"),
    Flag.optional
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withDescription("What is drawn comes from it: the same for the same seed (default a new one each time)"),
    Flag.optional
  )
}

export interface GivenFlags {
  readonly set: ReadonlyArray<Redacted.Redacted<string>>
  readonly values: Option.Option<string>
  readonly seed: Option.Option<number>
}

export const ask = Flag.Boolean("ask").pipe(
  Flag.withDescription("Ask at the terminal what to say, and wait for it without an end"),
  Flag.withDefault(false)
)

export interface SpeakingFlags extends GivenFlags {
  readonly ask: boolean
}
