#!/usr/bin/env node
/**
 * The `effect-handshake` command.
 *
 * @internal
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import { CliError, Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { readFileSync } from "node:fs"
import { demo } from "./demo.ts"
import * as Flags from "./flags.ts"
import { probe } from "./probe.ts"
import { serve } from "./serve.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

Command.make("effect-handshake").pipe(
  Command.withDescription("Connection handshakes as first-class Effects"),
  Command.withSubcommands([demo, serve, probe]),
  Command.run({ version }),
  // Help that was asked for is no mistake.
  Effect.catchIf(
    (error) => CliError.isCliError(error) && error._tag === "ShowHelp" && error.errors.length > 0,
    () => Effect.fail(new Flags.Exited({ code: Flags.usage }))
  ),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
        ? onExit(Flags.onSignal.code)
        : Runtime.defaultTeardown(exit, onExit)
  })
)
