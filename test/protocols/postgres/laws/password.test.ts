/**
 * The laws of PostgreSQL's start-up by `password`, on the simulated network.
 */
import * as Rung from "../../../../src/testing/Rung.ts"
import { laws } from "./laws.ts"

laws({ method: "password", version: "3.2", rungs: [Rung.simulated()] })
