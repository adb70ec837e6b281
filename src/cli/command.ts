/**
 * The whole command, for the process and for the tests.
 *
 * @internal
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { CliError, Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import { conform } from "./conform.ts"
import { demo } from "./demo.ts"
import { dialogue } from "./dialogue.ts"
import * as Flags from "./flags.ts"
import * as Help from "./help.ts"
import { probe } from "./probe.ts"
import { serve } from "./serve.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

const command = Command.make("effect-handshake").pipe(
  Command.withDescription("Connection handshakes as first-class Effects"),
  Command.withSubcommands([demo, serve, probe, dialogue, conform])
)

/** Runs it with these arguments, to its end or until it is interrupted. */
export const run = (args: ReadonlyArray<string>) =>
  Command.runWith(command, { version })(args).pipe(
    // Help that was asked for is no mistake.
    Effect.catchIf(
      (error) => CliError.isCliError(error) && error._tag === "ShowHelp" && error.errors.length > 0,
      () => Effect.fail(new Flags.Exited({ code: Flags.usage }))
    ),
    Effect.provide(Layer.provideMerge(Help.layer, NodeServices.layer))
  )
