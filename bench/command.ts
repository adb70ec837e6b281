/**
 * How the commands of this folder run and end.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import { CliError, Command } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Flags from "../src/cli/flags.ts"
import type { BenchError } from "./process.ts"

/** What could not be measured is said, and is a failure. */
export const saying = <E, R>(effect: Effect.Effect<void, E | BenchError, R>) =>
  Effect.catchIf(
    effect,
    (error): error is BenchError =>
      typeof error === "object" && error !== null && "_tag" in error && error._tag === "BenchError",
    ({ message }) => Effect.andThen(Console.error(message), Effect.fail(new Flags.Exited({ code: 1 })))
  )

/** Runs a command with the words of this process's command line. */
export const run = <Name extends string, Input, Context, E>(
  command: Command.Command<Name, Input, Context, E, Command.Environment>
): void =>
  command.pipe(
    Command.run({ version: "0.1.0" }),
    // sysexits.h: EX_USAGE. Help that was asked for is no mistake.
    Effect.catchIf(
      (error) => CliError.isCliError(error) && error._tag === "ShowHelp" && error.errors.length > 0,
      () => Effect.fail(new Flags.Exited({ code: 64 }))
    ),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({
      teardown: (exit, onExit) =>
        Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
          ? onExit(Flags.onSignal.code)
          : Runtime.defaultTeardown(exit, onExit)
    })
  )
