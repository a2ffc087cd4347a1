#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <iostream>

#include "server/cli.h"

int main(int count, char** arguments) {
    using namespace lockstep;
    // Sorting, numbers and dates are ours; only characters follow the user's locale.
    std::setlocale(LC_CTYPE, "");
    const auto clock = system_clock();
    const auto random = system_random();
    World world{*clock, *random};
    return server::run(arguments[0], {arguments + 1, arguments + count},
                       {.out = std::cout,
                        .err = std::cerr,
                        .out_terminal = server::Terminal::of(STDOUT_FILENO),
                        .err_terminal = server::Terminal::of(STDERR_FILENO)},
                       world);
}
