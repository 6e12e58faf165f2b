"""What steps take and return: conversion between Python values and plain JSON, and its checks."""
