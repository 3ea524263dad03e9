/** Who is signed in, and what the controller needs before anybody can be. */

import { api, ask, onSignedOut, Problem, take, type Role } from "../api/client";
import { site } from "./site.svelte";

export type Stage = "starting" | "unreachable" | "setup" | "out" | "in";

export interface Setup {
  needed: boolean;
  code_required: boolean;
}

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

class Account {
  stage = $state<Stage>("starting");
  name = $state("");
  role = $state<Role>("viewer");
  setup = $state.raw<Setup>({ needed: false, code_required: false });

  may(role: Role): boolean {
    return this.stage === "in" && RANK[this.role] >= RANK[role];
  }

  async start(): Promise<void> {
    onSignedOut(() => this.leave());
    await this.look();
  }

  async look(): Promise<void> {
    try {
      const { name, role } = await take(api.GET("/api/v1/session"));
      this.enter(name, role as Role);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) await this.lookAtSetup();
      else this.stage = "unreachable";
    }
  }

  enter(name: string, role: Role): void {
    this.name = name;
    this.role = role;
    this.stage = "in";
    site.start();
  }

  async signOut(): Promise<void> {
    await take(api.DELETE("/api/v1/session")).catch(() => undefined);
    this.leave();
  }

  private leave(): void {
    if (this.stage !== "in") return;
    site.stop();
    this.stage = "out";
  }

  private async lookAtSetup(): Promise<void> {
    const none: Setup = { needed: false, code_required: false };
    this.setup = await ask<Setup>("/api/v1/setup").catch(() => none);
    this.stage = this.setup.needed ? "setup" : "out";
  }
}

export const account = new Account();
