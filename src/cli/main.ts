#!/usr/bin/env node
/**
 * The `effect-handshake` command.
 *
 * @internal
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { run } from "./command.ts"
import * as Flags from "./flags.ts"

/** To exit is to drop what a pipe has not taken yet. Whoever reads it no more has no use for it. */
const flushed = (stream: NodeJS.WriteStream, then: () => void): void => {
  stream.on("error", () => {})
  stream.write("", () => then())
}

NodeRuntime.runMain(run(process.argv.slice(2)), {
  teardown: (exit, onExit) => {
    const end = (code: number) => flushed(process.stdout, () => flushed(process.stderr, () => onExit(code)))
    return Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ? end(Flags.onSignal.code)
      : Runtime.defaultTeardown(exit, end)
  }
})
