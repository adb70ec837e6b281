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

NodeRuntime.runMain(run(process.argv.slice(2)), {
  teardown: (exit, onExit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
      ? onExit(Flags.onSignal.code)
      : Runtime.defaultTeardown(exit, onExit)
})
